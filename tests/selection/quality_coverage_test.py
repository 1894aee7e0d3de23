# SPDX-License-Identifier: Apache-2.0
"""Quality and coverage in one draw, and its two ends."""

import numpy as np
import pytest

from data_efficient.selection import (
  budget,
  interface,
  inverse_propensity,
  quality_coverage,
  top,
)
from tests.selection import by_shard

COUNT = 1000
KEPT = 200


def _corpus(seed=0):
  generator = np.random.default_rng(seed)
  quality = -generator.exponential(2.0, COUNT)
  density = generator.choice([0.01, 0.1], COUNT)
  return quality, density


def _kept(selector, quality, density, seed=0):
  shard = interface.Shard("s", COUNT, quality, density)
  priorities = {"s": selector.priorities(shard, seed=seed)}
  return by_shard.cut(priorities, budget.examples(KEPT))["s"]


def _mixed(temperature):
  return quality_coverage.QualityCoverage(temperature=temperature)


def test_weights_are_the_formula():
  quality, density = _corpus()
  shard = interface.Shard("s", COUNT, quality, density)
  weights = np.exp(_mixed(0.7).log_weights(shard))
  np.testing.assert_allclose(weights, np.exp(quality / 0.7) / density)


def test_a_hot_draw_is_density_and_a_cold_one_the_top():
  quality, density = _corpus()
  hot = _kept(_mixed(1e9), quality, density)
  alone = _kept(inverse_propensity.InversePropensity(), density, None)
  assert hot.tolist() == alone.tolist()
  cold = _kept(_mixed(1e-9), quality, density)
  best = _kept(top.Top(highest=True), quality, None)
  assert cold.tolist() == best.tolist()


def test_between_them_quality_falls_and_coverage_rises():
  quality, density = _corpus()
  kept = [_kept(_mixed(t), quality, density) for t in (0.1, 1.0, 10.0)]
  means = [quality[rows].mean() for rows in kept]
  rare = [np.mean(density[rows] < 0.05) for rows in kept]
  assert means == sorted(means, reverse=True) and rare == sorted(rare)
  assert means[0] > means[2] + 0.5 and rare[2] > rare[0] + 0.1


@pytest.mark.parametrize("temperature", [0, -1.0, np.inf, np.nan])
def test_temperatures_of_no_weights_are_refused(temperature):
  with pytest.raises(interface.SelectionError, match="positive and finite"):
    _mixed(temperature)


def test_one_score_set_is_not_enough():
  with pytest.raises(interface.SelectionError, match="two score sets"):
    _mixed(1.0).log_weights(interface.Shard("s", 2, np.zeros(2)))
  shard = interface.Shard("s", 2, np.zeros(2), np.ones(3))
  with pytest.raises(interface.SelectionError, match="3 densities for the 2"):
    _mixed(1.0).log_weights(shard)
  shard = interface.Shard("s", 2, np.zeros(2), np.array([1.0, -3.0]))
  with pytest.raises(interface.SelectionError, match="position 1: density -3"):
    _mixed(1.0).log_weights(shard)


def test_a_record_without_one_of_the_scores_is_not_kept():
  shard = interface.Shard(
    "s", 3, np.array([np.nan, 0.0, 0.0]), np.array([1.0, np.nan, 1.0])
  )
  there = ~np.isnan(_mixed(1.0).priorities(shard, seed=0))
  assert there.tolist() == [False, False, True]
