# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning from checkpoints of either engine, of T5X and Hugging Face."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import numpy as safetensors

from data_efficient.models import checkpoints
from data_efficient.training import finetuning, optimizers, t5x, t5x_import
from tests.models import huggingface_test
from tests.t5x.tiny import losses


@pytest.fixture(scope="module")
def finetuned(run_in, engines, by_t5x):
  """Four steps from T5X's last checkpoint, by each engine."""
  runs = {}
  for name, engine in engines.items():
    runs[name] = _finetuning(run_in(f"tuned_by_{name}"), by_t5x.directory)
    engine.train(runs[name])
  return runs


def _finetuning(run, checkpoint, **changes):
  run = dataclasses.replace(
    run,
    **{"steps": 4, "evaluation_period": 4, "checkpoint_period": 4, **changes},
  )
  return finetuning.finetuning(
    run=run,
    checkpoint=checkpoint,
    dropout_rate=0.0,
    schedule=optimizers.constant(learning_rate=0.01),
  )


def test_both_engines_go_on_from_t5x_s_checkpoint(finetuned, by_t5x):
  ours, theirs = finetuned["local"], finetuned["t5x"]
  assert losses(ours, "hq")[0] == pytest.approx(
    losses(by_t5x, "hq")[20], rel=1e-5
  )
  assert list(losses(ours)) == [1, 2, 3, 4]
  for label in (None, "hq"):
    assert losses(ours, label) == pytest.approx(losses(theirs, label), rel=1e-5)
  assert losses(ours, "hq")[4] < losses(ours, "hq")[0]


def test_it_is_what_t5x_does_with_its_own_step_offset(
  finetuned, run_in, engines, by_t5x
):
  run = finetuned["t5x"]
  seen = {}
  utils = t5x_import.module("utils")
  base = t5x_import.module("trainer").BaseAction

  class Action(base):
    def run(self, train_state, metrics_by_task):
      loss = metrics_by_task["train"]["token_loss"].value
      seen[int(train_state.step) - 20] = float(loss)
      return False

  settings = t5x._settings(run, engines["t5x"], start=0, log=None)
  # T5X restores its own optimizer and step, and is told when they began.
  model = settings["model"]
  model.optimizer_def.hyper_params = model.optimizer_def.hyper_params.replace(
    step_offset=20
  )
  settings |= {
    "checkpoint_cfg": utils.CheckpointConfig(
      restore=utils.RestoreCheckpointConfig(
        path=f"{by_t5x.directory}/checkpoints/checkpoint_20",
        mode="specific",
        dtype="float32",
      )
    ),
    "train_state_initializer_cls": utils.TrainStateInitializer,
    "model_dir": run_in("by_t5x_alone").directory,
    "total_steps": 24,
    "train_eval_dataset_cfg": None,
    "actions": {"TRAIN": [Action()]},
  }
  t5x_import.module("train").train(**settings)
  assert losses(run) == pytest.approx(seen, rel=1e-5)


def _hugging_face(parameters, config, directory):
  directory.mkdir()
  names = {
    **{"emb_dim": "d_model", "head_dim": "d_kv", "mlp_dim": "d_ff"},
    **{"vocab_size": "vocab_size", "num_heads": "num_heads"},
    "num_encoder_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "relative_attention_num_buckets": "relative_attention_num_buckets",
    "relative_attention_max_distance": "relative_attention_max_distance",
  }
  sizes = {theirs: getattr(config, ours) for ours, theirs in names.items()}
  text = json.dumps({**huggingface_test.CONFIG, **sizes})
  (directory / "config.json").write_text(text)
  tensors = {
    name: np.ascontiguousarray(array)
    for name, array in huggingface_test._tensors(parameters).items()
  }
  safetensors.save_file(tensors, directory / "model.safetensors")


@pytest.mark.parametrize("kind", ["local", "hugging_face"])
def test_t5x_goes_on_from_other_formats(
  kind, run_in, engines, by_local, tmp_path
):
  checkpoint = by_local.directory
  if kind == "hugging_face":
    parameters = checkpoints.load_parameters(
      checkpoint, config=by_local.network
    )
    checkpoint = str(tmp_path / kind)
    _hugging_face(parameters, by_local.network, tmp_path / kind)
  run = _finetuning(
    run_in(f"tuned_from_{kind}"),
    checkpoint,
    **{"steps": 1, "evaluation_period": 1, "checkpoint_period": 1},
  )
  engines["t5x"].train(run)
  evaluated = losses(run, "hq")
  assert evaluated[0] == pytest.approx(losses(by_local, "hq")[20], rel=1e-5)
  assert evaluated[1] != evaluated[0]


def test_a_checkpoint_of_another_network_is_refused(run_in, engines, by_local):
  run = run_in("tuned_wrongly", initial_checkpoint=by_local.directory)
  wider = dataclasses.replace(run.network, mlp_dim=161)
  for engine in engines.values():
    with pytest.raises(checkpoints.CheckpointError, match="mlp"):
      engine.train(dataclasses.replace(run, network=wider))
