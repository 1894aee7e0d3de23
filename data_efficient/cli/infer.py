# SPDX-License-Identifier: Apache-2.0
"""The verb `infer`: what a trained model says of a task's examples."""

import pathlib
from collections.abc import Callable

from data_efficient import processes
from data_efficient.cli import cost, train
from data_efficient.data import locks
from data_efficient.training import inference as inferences

_CONFIG = "config.gin"


def infer(
  *,
  inference: inferences.Inference,
  engine: inferences.Engine,
  then: Callable[..., None] | None = None,
) -> None:
  """Scores targets or predicts them; does nothing when it is done.

  Leaves config.gin and inferences.jsonl (see `training.inference`).

  Args:
    inference: what is asked.
    engine: what finds the answers.
    then: called with both when the inferences are there, in every process; see
      `cli.asked`.

  Raises:
    ArtifactError: the directory holds inferences of another configuration.
  """
  processes.join()
  _find(inference, engine)
  if then is not None:
    processes.wait("inferences written")
    then(inference=inference, engine=engine)


def _find(inference: inferences.Inference, engine: inferences.Engine) -> None:
  directory = pathlib.Path(inference.directory)
  done = directory / inferences.FILE
  if not processes.is_first():
    if not done.exists():
      engine.infer(inference)
    return
  directory.mkdir(parents=True, exist_ok=True)
  with locks.exclusive(directory):
    train.keep_config(directory / _CONFIG)
    if done.exists():
      print(f"{directory}: done before")
      return
    with cost.measured(directory):
      engine.infer(inference)
  print(f"{done}: {len(inferences.read(inference.directory))} examples")
