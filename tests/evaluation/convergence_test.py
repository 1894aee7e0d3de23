# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from scipy import stats

from data_efficient.evaluation import convergence
from data_efficient.evaluation.runs import Curve, EvaluationError


def _curve(steps, losses):
  return Curve(np.asarray(steps, np.int64), np.asarray(losses, np.float64))


def _first_crossing_by_walking(curve, target):
  """The definition, in tiny strides along straight lines."""
  pairs = list(zip(curve.steps.tolist(), curve.losses.tolist(), strict=True))
  for (s0, l0), (s1, l1) in zip(pairs, pairs[1:], strict=False):
    for stride in range(10_001):
      share = stride / 10_000
      if l0 + share * (l1 - l0) <= target:
        return s0 + share * (s1 - s0)
  return None


def test_final_loss_is_the_mean_of_the_last_three():
  curve = _curve([0, 10, 20, 30], [9.0, 6.0, 5.0, 4.0])
  assert convergence.final_loss(curve) == pytest.approx(5.0)


def test_final_loss_of_a_diverged_run_is_nan():
  curve = _curve([0, 10, 20, 30], [9.0, 6.0, math.nan, 4.0])
  assert math.isnan(convergence.final_loss(curve))


def test_final_loss_needs_three_evaluations():
  with pytest.raises(EvaluationError, match="the run has 2; evaluate more"):
    convergence.final_loss(_curve([0, 10], [9.0, 6.0]))


def test_steps_to_reach_interpolates():
  # From 6 at step 100 to 5 at step 200: 5.25 lies three quarters along.
  curve = _curve([0, 100, 200, 300], [9.0, 6.0, 5.0, 4.0])
  assert convergence.steps_to_reach(curve, 5.25) == pytest.approx(175.0)
  assert convergence.steps_to_reach(curve, 5.0) == 200.0


def test_steps_to_reach_takes_the_first_crossing():
  curve = _curve([0, 10, 20, 30], [9.0, 5.0, 7.0, 4.0])
  assert convergence.steps_to_reach(curve, 6.0) == pytest.approx(7.5)


@pytest.mark.parametrize("target", [4.2, 5.0, 5.9, 8.0])
def test_steps_to_reach_agrees_with_walking(target):
  generator = np.random.default_rng(0)
  steps = np.cumsum(generator.integers(3, 40, 12))
  losses = 9.0 - np.linspace(0, 5, 12) + generator.normal(0, 0.3, 12)
  curve = _curve(steps, losses)
  expected = _first_crossing_by_walking(curve, target)
  assert convergence.steps_to_reach(curve, target) == pytest.approx(
    expected, abs=0.01
  )


def test_steps_to_reach_at_the_first_evaluation():
  curve = _curve([5, 10], [4.0, 3.0])
  assert convergence.steps_to_reach(curve, 4.5) == 5.0


def test_steps_to_reach_never():
  curve = _curve([0, 10, 20], [9.0, 6.0, 5.0])
  assert convergence.steps_to_reach(curve, 4.99) is None
  assert convergence.steps_to_reach(curve, math.nan) is None


def test_at_the_target_is_reached():
  curve = _curve([0, 10, 20], [9.0, 6.0, 5.0])
  assert convergence.steps_to_reach(curve, 5.0) == 20.0


def test_steps_to_reach_after_nan_does_not_interpolate():
  curve = _curve([0, 10, 20], [9.0, math.nan, 5.0])
  assert convergence.steps_to_reach(curve, 6.0) == 20.0


def test_speedup():
  assert convergence.speedup(225.0, steps=300) == pytest.approx(0.25)
  assert convergence.speedup(None, steps=300) is None
  with pytest.raises(EvaluationError, match="0 steps"):
    convergence.speedup(None, steps=0)


def test_area_under_the_curve_by_hand():
  curve = _curve([0, 10, 40], [9.0, 7.0, 4.0])
  assert convergence.mean_loss(curve) == pytest.approx((80 + 165) / 40)
  assert math.isnan(convergence.mean_loss(_curve([0], [9.0])))
  assert math.isnan(convergence.mean_loss(_curve([0, 1], [9.0, math.nan])))


def test_a_run_that_never_arrives_counts_with_all_its_steps():
  assert convergence.restricted_steps(None, steps=30) == 30.0
  assert convergence.restricted_steps(7.5, steps=30) == 7.5


def test_savings_by_hand():
  # Full needs 100 and 80 of its steps; we 50 and, never there, all 100.
  found = convergence.savings(
    {0: 50.0, 1: 100.0}, {0: 100.0, 1: 80.0}, reached=1
  )
  assert (found.reached, found.total, found.seeds) == (1, 2, (0, 1))
  assert found.restricted_mean == pytest.approx(75.0)
  # (50 − 20) / 2 of a mean of 90.
  assert found.speedup_mean == pytest.approx(15.0 / 90.0)
  half = 12.7062 * 35.0 / 90.0
  low, high = found.speedup_interval
  assert low == pytest.approx(15.0 / 90.0 - half, abs=1e-3)
  assert high == pytest.approx(15.0 / 90.0 + half, abs=1e-3)


def test_savings_are_paired_by_seed():
  full = {0: 100.0, 1: 60.0, 2: 80.0}
  # Half of each: the seeds' own spread cancels in part.
  found = convergence.savings({0: 50.0, 1: 30.0, 7: 99.0}, full, reached=3)
  assert found.seeds == (0, 1)
  assert found.restricted_mean == pytest.approx((50 + 30 + 99) / 3)
  assert found.speedup_mean == pytest.approx((50 + 30) / 2 / 80)
  expected = stats.ttest_1samp([50 / 80, 30 / 80], 0).confidence_interval(0.95)
  assert found.speedup_interval == pytest.approx((expected.low, expected.high))


def test_full_saves_nothing_over_itself():
  full = {0: 100.0, 1: 60.0}
  found = convergence.savings(full, full, reached=2)
  assert found.speedup_mean == 0.0 and found.speedup_interval == (0.0, 0.0)


@pytest.mark.parametrize("full", [{}, {5: 10.0}, {0: 0.0}])
def test_nothing_to_save_of(full):
  found = convergence.savings({0: 50.0}, full, reached=1)
  assert found.speedup_mean is None and found.speedup_interval is None
  assert found.restricted_mean == 50.0
