# SPDX-License-Identifier: Apache-2.0
"""A seqio mixture, which is what networks are fine-tuned on, under T5X."""

import pathlib

import pytest
import seqio

from data_efficient.models import checkpoints
from tests.t5x import tiny
from tests.t5x.tiny import losses


@pytest.fixture(scope="module")
def mixture():
  """Reversed texts, three times as often as other ones."""
  name = "t5x_tests_mixture"
  tasks = {
    tiny.register(f"{name}_{number}", number=number, count=count): rate
    for number, count, rate in ((2, 60, 3), (3, 40, 1))
  }
  seqio.MixtureRegistry.add(name, list(tasks.items()))
  return name


def test_a_mixture_trains_alike_under_both_engines(
  mixture, run_in, engines, by_t5x
):
  found = {}
  for name, engine in engines.items():
    run = run_in(
      f"mixture_by_{name}",
      task=mixture,
      initial_checkpoint=by_t5x.directory,
      **{"steps": 6, "evaluation_period": 1, "checkpoint_period": 1},
      keep_period=3,
    )
    engine.train(run)
    found[name] = run
  ours, theirs = found["local"], found["t5x"]
  assert list(losses(theirs)) == [1, 2, 3, 4, 5, 6]
  for label in (None, "hq"):
    assert losses(ours, label) == pytest.approx(losses(theirs, label), rel=1e-4)
  # It is not one of its tasks alone: the losses would be others.
  assert losses(theirs) != losses(by_t5x)
  for run, kept in ((ours, "3"), (theirs, "checkpoint_3")):
    place = pathlib.Path(run.directory, "checkpoints", kept)
    checkpoints.load_parameters(place, config=run.network)
