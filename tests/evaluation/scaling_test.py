# SPDX-License-Identifier: Apache-2.0
"""Over-scaling by hand; size curves against SciPy's fit and back."""

import math

import numpy as np
import pytest
from scipy import optimize

from data_efficient.evaluation import scaling
from data_efficient.evaluation.comparison import Interval


def test_over_scaling_by_hand():
  # Full ends at 6, the next network at 5; seed 0 gains 0.5 of it, seed 1 0.1.
  full, larger = {0: 6.2, 1: 5.8}, {0: 4.9, 1: 5.1, 2: 5.0}
  ours = {0: 5.7, 1: 5.7, 5: 1.0}
  found = scaling.over_scaling(ours, full, larger, sign=1.0)
  assert found.by_seed == pytest.approx({0: 50.0, 1: 10.0})
  row = found.describe()
  assert row["mean"] == pytest.approx(30.0)
  assert row["interval"][0] == pytest.approx(30.0 - 12.7062 * 20.0, abs=1e-2)
  # A score of which more is better gives the same percentages.
  negative = [{s: -v for s, v in d.items()} for d in (ours, full, larger)]
  assert scaling.over_scaling(*negative, sign=-1.0).by_seed == pytest.approx(
    found.by_seed
  )


def test_table_1_of_the_paper():
  # T5-Large, Ask-LLM (XL), GLUE: 88.8 against Full's 88.2; had T5-XL 90.0,
  # 0.6 of 1.8 would be a third.
  found = scaling.over_scaling({0: 88.8}, {0: 88.2}, {0: 90.0}, sign=-1.0)
  assert found.by_seed[0] == pytest.approx(100 / 3)
  assert found.describe()["interval"] is None


@pytest.mark.parametrize(
  "ours, full, larger, reason",
  [
    ({0: 5.0}, {1: 6.0}, {0: 5.0}, "no seed"),
    ({0: math.nan}, {0: 6.0}, {0: 5.0}, "no final value"),
    ({0: 5.0}, {0: 6.0}, {0: math.nan}, "no final value"),
    ({0: 5.0}, {0: 6.0}, {0: 6.0}, "not better"),
    ({0: 5.0}, {0: 6.0}, {0: 7.0}, "not better"),
  ],
)
def test_no_over_scaling_has_a_reason(ours, full, larger, reason):
  found = scaling.over_scaling(ours, full, larger, sign=1.0)
  assert not found.by_seed and reason in found.reason


def test_average_is_over_metrics_of_shared_seeds():
  found = scaling.average([{0: 10.0, 1: 20.0}, {0: 30.0, 2: 1.0}])
  assert found == {0: 20.0}
  assert scaling.average([]) == {}


def _law(n, e=2.0, a=30.0, b=0.3):
  return e + a * n**-b


def test_a_power_law_is_found_again():
  sizes = {n: _law(n) for n in (10_000, 100_000, 3_000_000, 60_000_000)}
  curve = scaling.size_curve(sizes)
  assert curve.fit == scaling.POWER_LAW
  assert (curve.e, curve.a, curve.b) == pytest.approx(
    (2.0, 30.0, 0.3), rel=1e-3
  )


def test_noisy_sizes_are_fitted_as_well_as_by_scipy():
  n = np.round(np.geomspace(1e4, 1e8, 7))
  losses = _law(n) + np.random.default_rng(0).normal(0, 0.02, len(n))
  sizes = dict(zip(n.astype(int).tolist(), losses.tolist(), strict=True))
  curve = scaling.size_curve(sizes)
  found, _ = optimize.curve_fit(
    _law, n, losses, p0=(1.5, 20.0, 0.25), bounds=(0, (10, 1000, 4))
  )
  theirs = float(((_law(n, *found) - losses) ** 2).sum())
  ours = sum(
    (curve.loss(float(size)) - loss) ** 2 for size, loss in sizes.items()
  )
  assert ours <= theirs * (1 + 1e-6)


def test_the_floor_of_a_loss_is_not_below_zero():
  # A straight line in ln N, whose best constant would be far below zero.
  sizes = {n: 20.0 - 1.2 * math.log(n) for n in (10**4, 10**5, 10**6)}
  curve = scaling.size_curve(sizes)
  assert curve.e == 0.0 and curve.a > 0.0


def test_two_sizes_are_joined_by_a_line_in_the_logarithm():
  curve = scaling.size_curve({1000: 5.0, 100_000: 4.0})
  assert curve.fit == scaling.LOG_LINEAR
  # Half the loss between them, half way in ln N.
  found = scaling.effective_size(curve, 4.5, None)
  assert found["parameters"] == pytest.approx(10_000)
  assert found["extrapolated"] is False and found["interval"] is None
  found = scaling.effective_size(curve, 3.5, Interval(3.25, 3.75))
  assert found["parameters"] == pytest.approx(1_000_000)
  # The lower loss is the larger size.
  assert found["interval"] == pytest.approx([10**5.5, 10**6.5])
  assert found["extrapolated"] is True


@pytest.mark.parametrize(
  "sizes",
  [
    {1000: 5.0, 100_000: 4.0},
    {10_000: _law(1e4), 100_000: _law(1e5), 3_000_000: _law(3e6)},
  ],
)
def test_sizes_invert_their_losses(sizes):
  curve = scaling.size_curve(sizes)
  for size, loss in sizes.items():
    found = scaling.effective_size(curve, loss, None)
    assert found["parameters"] == pytest.approx(size, rel=1e-3)
  for size in np.geomspace(2000, 1e7, 20):
    assert curve.size(curve.loss(float(size))) == pytest.approx(size)


@pytest.mark.parametrize(
  "sizes, reason",
  [
    ({}, "there is 0"),
    ({1000: 5.0, 2000: math.nan}, "there is 1"),
    ({1000: 4.0, 2000: 5.0}, "does not fall"),
    ({1000: 4.0, 2000: 4.5, 4000: 5.0}, "does not fall"),
    ({1000: 4.0, 2000: 4.0}, "does not fall"),
  ],
)
def test_no_curve_has_a_reason(sizes, reason):
  curve = scaling.size_curve(sizes)
  found = scaling.effective_size(curve, 4.0, None)
  assert found["parameters"] is None and reason in found["reason"]


def test_a_loss_that_no_size_has():
  curve = scaling.size_curve({n: _law(n) for n in (10**4, 10**5, 10**6)})
  found = scaling.effective_size(curve, 1.9, Interval(1.8, 2.0))
  assert found["parameters"] is None and "so low a loss" in found["reason"]
  found = scaling.effective_size(curve, 2.4, Interval(1.9, 2.9))
  assert found["interval"][1] is None and found["interval"][0] > 0
  assert scaling.effective_size(curve, math.nan, None)["reason"]
