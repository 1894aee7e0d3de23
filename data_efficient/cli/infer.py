# SPDX-License-Identifier: Apache-2.0
"""The verb `infer`: what a trained model says of a task's examples."""

import pathlib

from data_efficient.cli import cost, train
from data_efficient.data import artifacts
from data_efficient.training import inference as inferences
from data_efficient.training import processes

_CONFIG = "config.gin"


def infer(
  *, inference: inferences.Inference, engine: inferences.Engine
) -> None:
  """Scores targets or predicts them; does nothing when it is done.

  Leaves config.gin and inferences.jsonl (see `training.inference`).

  Args:
    inference: what is asked.
    engine: what finds the answers.

  Raises:
    ArtifactError: the directory holds inferences of another configuration.
  """
  processes.join()
  directory = pathlib.Path(inference.directory)
  done = directory / inferences.FILE
  if not processes.is_first():
    if not done.exists():
      engine.infer(inference)
    return
  directory.mkdir(parents=True, exist_ok=True)
  with artifacts.exclusive(directory):
    train.keep_config(directory / _CONFIG)
    if done.exists():
      print(f"{directory}: done before")
      return
    with cost.measured(directory):
      engine.infer(inference)
  print(f"{done}: {len(inferences.read(inference.directory))} examples")
