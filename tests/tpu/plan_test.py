# SPDX-License-Identifier: Apache-2.0
"""What a plan says of a TPU chip's memory comes from its compiler."""

import dataclasses

import numpy as np
import pytest

from data_efficient.evaluation import chips, plan_memory, plan_scoring
from tests.evaluation import planned

(V5E,) = chips.named(("v5e",))


@pytest.fixture(autouse=True)
def compiler(tpu_devices):
  """libtpu, or the test is skipped."""


def _work(rows):
  batch = plan_scoring.Batches(1.0, np.ones((rows, 128), np.int32))
  return plan_scoring.Work(planned.WIDE, ((1,),), [batch], 1.0, 1.0, 0.0)


def test_scoring_is_compiled():
  few, many = (
    plan_memory.scoring(V5E, _work(rows), compiled=True) for rows in (8, 512)
  )
  assert few.source == many.source == plan_memory.COMPILED
  assert few.fits and few.model_parallel == 1
  stored = plan_memory.parameters(planned.WIDE).stored_bytes
  assert stored < few.bytes < many.bytes
  formula = plan_memory.scoring(V5E, _work(512), compiled=False)
  print(
    f"\n{many.bytes / 2**20:.0f} MiB, {formula.bytes / 2**20:.0f} by formula"
  )
  assert formula.bytes / 3 < many.bytes < 3 * formula.bytes


def test_training_is_compiled():
  run = dataclasses.replace(planned.TRAINING, batch=256)
  found = plan_memory.training(V5E, run, count=16, compiled=True)
  assert found.source == plan_memory.COMPILED and found.fits
  # On half of the chips, twice the rows a chip.
  half = plan_memory.training(V5E, run, count=8, compiled=True)
  assert half.bytes > found.bytes
  # A step for which a chip has too little is refused, or seen to be too big.
  tiny = dataclasses.replace(V5E, memory_bytes=2**16)
  assert not plan_memory.training(tiny, run, count=1, compiled=True).fits
