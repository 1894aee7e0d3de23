# SPDX-License-Identifier: Apache-2.0
"""Importance weights under T5X: our converter, and the same loss as ours."""

import jax
import numpy as np
import pytest

from data_efficient.models import checkpoints
from tests.t5x.tiny import losses
from tests.training import weighting


def _parameters(run):
  return checkpoints.load_parameters(run.directory, config=run.network)


def test_weights_of_one_train_to_the_same_bits(run_in, engines, by_t5x):
  task = weighting.task("t5x_tests_ones", by_t5x.task, weighting.ones)
  weighted = run_in("ones", task=task)
  engines["t5x"].train(weighted)
  assert losses(weighted) == losses(by_t5x)
  jax.tree.map(
    np.testing.assert_array_equal, _parameters(weighted), _parameters(by_t5x)
  )


def test_both_engines_weigh_alike(run_in, engines, by_t5x):
  task = weighting.task("t5x_tests_growing", by_t5x.task, weighting.growing)
  first = f"{by_t5x.directory}/checkpoints/checkpoint_0"
  runs = {
    name: run_in(f"growing_{name}", task=task, initial_checkpoint=first)
    for name in engines
  }
  for name, run in runs.items():
    engines[name].train(run)
  found = {name: losses(run) for name, run in runs.items()}
  assert found["local"] == pytest.approx(found["t5x"], rel=1e-4)
  assert found["t5x"][1] != pytest.approx(losses(by_t5x)[1], rel=1e-3)
