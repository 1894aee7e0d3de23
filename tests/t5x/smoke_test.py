# SPDX-License-Identifier: Apache-2.0
"""A few steps under the real `t5x.train`, an interruption, and what is left."""

import dataclasses
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from data_efficient.models import checkpoints, encoder_decoder
from data_efficient.training import metrics, optimizers, t5x
from data_efficient.training.run import Run

LENGTHS = {"inputs": 12, "targets": 10}
ENGINE = t5x.T5X(model_parallel=1, log_period=1)


def _examples(split, shuffle_files=False, seed=None):
  import tensorflow as tf

  del split, shuffle_files, seed
  return tf.data.Dataset.from_tensor_slices(
    {
      "inputs": [f"text {i} in" for i in range(24)],
      "targets": [f"{i} out" for i in range(24)],
    }
  )


@pytest.fixture(scope="module")
def task():
  import seqio

  name = "data_efficient_t5x_smoke"
  vocabulary = seqio.ByteVocabulary()
  seqio.TaskRegistry.add(
    name,
    source=seqio.FunctionDataSource(_examples, splits=["train"]),
    preprocessors=[
      seqio.preprocessors.tokenize,
      seqio.preprocessors.append_eos,
    ],
    output_features={feature: seqio.Feature(vocabulary) for feature in LENGTHS},
  )
  yield name
  seqio.TaskRegistry.remove(name)


@pytest.fixture(scope="module")
def run(task, tmp_path_factory):
  return Run(
    directory=str(tmp_path_factory.mktemp("t5x") / "run"),
    network=encoder_decoder.T5Config(
      vocab_size=384,
      emb_dim=16,
      num_heads=2,
      head_dim=8,
      mlp_dim=24,
      num_encoder_layers=1,
      num_decoder_layers=1,
      dtype="float32",
      dropout_rate=0.1,
      embedding_init_stddev=0.1,
    ),
    task=task,
    evaluation_tasks={"hq": task},
    task_feature_lengths=LENGTHS,
    batch_size=8,
    steps=3,
    evaluation_period=2,
    evaluation_batches=2,
    checkpoint_period=2,
    seed=0,
    schedule=optimizers.rsqrt(base=1.0, warmup_steps=100),
    z_loss=1e-4,
  )


@pytest.fixture(scope="module")
def finished(run):
  """Three steps; then, in the same directory, on to five."""
  ENGINE.train(run)
  longer = dataclasses.replace(run, steps=5)
  ENGINE.train(longer)
  ENGINE.train(longer)  # nothing left to do
  return longer


def test_metrics_rows(finished):
  rows = metrics.read(finished.directory)
  trained = [row for row in rows if "evaluation" not in row]
  assert [row["step"] for row in trained] == [1, 2, 3, 4, 5]
  assert all(math.isfinite(row["loss"]) for row in rows)
  assert trained[0]["learning_rate"] == pytest.approx(0.1)
  for name in ("tokens", "seconds"):
    values = [row[name] for row in trained]
    assert values == sorted(values) and values[0] > 0
  evaluated = [row for row in rows if "evaluation" in row]
  assert {row["evaluation"] for row in evaluated} == {"hq"}
  steps = [row["step"] for row in evaluated]
  assert steps[0] == 0 and steps[-1] == 5 and len(set(steps)) == len(steps)
  assert evaluated[-1]["loss"] < evaluated[0]["loss"]
  assert evaluated[0]["loss"] == pytest.approx(math.log(384), rel=0.2)
  json.dumps(rows)


def test_checkpoint_is_read_and_gives_the_last_loss(finished):
  from data_efficient.kernels import likelihood
  from data_efficient.training import batches

  directory = pathlib.Path(finished.directory)
  assert checkpoints.latest_step(directory / "checkpoints") == 5
  parameters = checkpoints.load_parameters(directory, config=finished.network)

  @jax.jit
  def sums(batch):
    logits = encoder_decoder.Transformer(finished.network).apply(
      {"params": parameters},
      batch["encoder_input_tokens"],
      batch["decoder_input_tokens"],
      batch["decoder_target_tokens"],
    )
    weights = batch["decoder_loss_weights"].astype(np.float32)
    return likelihood.loss_sums(logits, batch["decoder_target_tokens"], weights)

  total = likelihood.empty()
  for batch in batches.evaluation(finished)["hq"]:
    total = likelihood.merge(total, sums(batch))
  expected = likelihood.means(total)
  last = metrics.read(finished.directory)[-1]
  assert last["step"] == 5
  assert last["loss"] == pytest.approx(float(expected.loss), rel=1e-5)
  assert last["accuracy"] == pytest.approx(float(expected.accuracy), abs=1e-6)


def test_periods_that_t5x_cannot_keep_are_refused(run):
  odd = dataclasses.replace(run, checkpoint_period=3)
  with pytest.raises(
    t5x.T5XError, match="checkpoint_period = 3 is no multiple"
  ):
    ENGINE.train(odd)
