# SPDX-License-Identifier: Apache-2.0
"""Instructions in files, on which a T5 is fine-tuned, under T5X."""

import dataclasses
import json

import jax
import pytest

from data_efficient.data import instruction_file_tasks, instructions
from data_efficient.models import checkpoints, networks
from data_efficient.scorers import templates
from data_efficient.training import optimizers, tuning
from tests import networks as small
from tests.data import served
from tests.t5x.tiny import losses

NETWORK = small.t5(vocab_size=512, emb_dim=32, mlp_dim=48)


@pytest.fixture(scope="module")
def tuned_by(installed, tmp_path_factory):
  """`tuned_by(name)`: a run from one checkpoint, in its own directory."""
  directory = tmp_path_factory.mktemp("instruction_files")
  rows = [
    {"instruction": f"say {n}", "output": f"{n} it is", "task": str(n % 3)}
    for n in range(20)
  ]
  lines = [json.dumps(row) + "\n" for row in rows]
  (directory / "pool.jsonl").write_text("".join(lines[:15]))
  (directory / "test.jsonl").write_text("".join(lines[15:]))
  parameters = networks.init_parameters(NETWORK, jax.random.key(0))
  checkpoints.save_parameters(directory / "start", parameters)
  vocabulary = served.train_vocabulary(directory)

  def records(name):
    return instructions.Instructions(
      pattern=str(directory / f"{name}.jsonl"),
      prompt_field="instruction",
      input_field="",
      response_field="output",
      task_field="task",
    )

  tasks = instruction_file_tasks.InstructionFiles(
    pool=records("pool"),
    watched={"test": records("test")},
    network=NETWORK,
    template=dataclasses.replace(
      templates.in_context(), query_alone="{prompt}", example="{prompt}"
    ),
    inputs=96,
    targets=24,
    shares={"alone": 0.6, "in_context": 0.4},
    shots=(1,),
    example_tokens=40,
    separator="",
  )

  def make(name):
    return tuning.tuning(
      directory=str(directory / name),
      tasks=tasks,
      vocabulary=vocabulary,
      network=NETWORK,
      task_feature_lengths={"inputs": 96, "targets": 24},
      batch_size=4,
      steps=4,
      seed=0,
      schedule=optimizers.constant(learning_rate=0.01),
      z_loss=1e-4,
      evaluation_period=2,
      evaluation_batches=2,
      checkpoint_period=2,
      initial_checkpoint=str(directory / "start"),
    )

  return make


def test_both_engines_tune_alike_and_t5x_goes_on(tuned_by, engines):
  runs = {name: tuned_by(name) for name in engines}
  for name, run in runs.items():
    engines[name].train(run)
  ours, theirs = runs["local"], runs["t5x"]
  assert list(losses(theirs)) == [1, 2, 3, 4]
  for label in (None, "test"):
    assert losses(ours, label) == pytest.approx(losses(theirs, label), rel=1e-4)
  assert losses(theirs, "test")[4] < losses(theirs, "test")[0]
  stopped = tuned_by("stopped")
  engines["t5x"].train(dataclasses.replace(stopped, steps=2))
  engines["t5x"].train(stopped)
  assert losses(stopped) == losses(theirs)
