# SPDX-License-Identifier: Apache-2.0
"""What is predicted for this machine is what is then measured.

Both sides are the CPU time of this process, all its threads together, which a
busy machine changes little. What it does change, it changes for a while: the
sides alternate, and the median of a few ratios of neighbours is compared.
"""

import dataclasses
import statistics
import time

import numpy as np
import pytest

from data_efficient.evaluation import (
  plan_calibration,
  plan_scoring,
  plan_training,
)
from data_efficient.models import partitioning
from data_efficient.scorers import runner
from data_efficient.training import local, optimizers
from data_efficient.training.run import Run
from tests import compilation
from tests.evaluation import planned

RECORDS = 512
ROUNDS = 5


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
  with compilation.shared(tmp_path_factory.mktemp("compiled")):
    yield


def _measured(scorer, texts) -> float:
  """CPU seconds of scoring, as the verb `score` runs it, after compilation."""

  def requests():
    for start in range(0, len(texts), scorer.part_records):
      batch = texts[start : start + scorer.part_records]
      yield runner.Request(start, batch, np.ones(len(batch), bool))

  began = time.process_time()
  for result in runner.run(scorer, requests()):
    assert set(result.scores.statuses) == {"scored"}
  return time.process_time() - began


def test_scoring_takes_what_was_predicted(tmp_path):
  texts = planned.texts(RECORDS)
  source = planned.sampled(planned.prepared_corpus({"a": texts}, tmp_path))
  scorer = planned.scorer()
  real = dataclasses.replace(
    scorer, judge=plan_calibration._random(scorer.judge, planned.WIDE)
  )
  _measured(real, texts)  # which compiles
  found = []

  def predicted() -> float:
    work = plan_scoring.work(scorer, source.size(), time.process_time)
    assert len(work.batches) == 2
    found.append(
      plan_calibration.scoring(scorer, work, seconds=5, clock=time.process_time)
    )
    return found[-1].seconds

  _agree(predicted, lambda: _measured(real, texts))
  assert found[-1].measured.endswith("whole steps")


def _agree(predicted, measured) -> None:
  """Within 20%: the median of a few ratios, each of neighbours in time."""
  ratios = []
  for _ in range(ROUNDS):
    found = predicted(), measured()
    ratios.append(found[0] / found[1])
    ratio = statistics.median(ratios)
    print("\npredicted {:.3f} s, measured {:.3f} s".format(*found), end="")
    if abs(ratio - 1.0) < 0.1:
      break
  assert ratio == pytest.approx(1.0, abs=0.2)


def _engine():
  """The local engine's own step, fed as its loop does."""
  run = Run(
    directory="",
    network=planned.WIDE,
    task="",
    evaluation_tasks={},
    task_feature_lengths={
      "inputs": planned.TRAINING.inputs,
      "targets": planned.TRAINING.targets,
    },
    batch_size=planned.TRAINING.batch,
    steps=planned.TRAINING.steps,
    evaluation_period=1,
    evaluation_batches=1,
    checkpoint_period=1,
    seed=0,
    schedule=optimizers.rsqrt(base=1.0, warmup_steps=10_000),
    z_loss=1e-4,
  )
  mesh = partitioning.mesh(model_parallel=1)
  functions = local._functions(run, mesh, 1)
  kept = {"state": functions.initial()}

  def steps(count) -> float:
    began = time.process_time()
    with partitioning.activate(mesh):
      for number in range(count):
        batch = plan_training.random_batch(planned.TRAINING, number)
        placed = {
          name: partitioning.place(array, functions.rows)
          for name, array in batch.items()
        }
        kept["state"], metrics = functions.train(
          kept["state"], placed, functions.base
        )
      assert np.isfinite(float(metrics.loss))
    return time.process_time() - began

  return steps


def test_training_takes_what_was_predicted():
  steps = _engine()
  steps(1)  # which compiles

  def predicted() -> float:
    found = plan_calibration.training(
      planned.TRAINING, seconds=5, clock=time.process_time
    )
    assert found.measured == "whole steps"
    return found.seconds

  _agree(predicted, lambda: steps(planned.TRAINING.steps))
