# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from scipy import stats

from data_efficient.evaluation import comparison
from data_efficient.evaluation.comparison import Verdict


def test_summary_by_hand():
  # Mean 5; deviations -1, 0, 1; variance (1 + 0 + 1) / 2 = 1.
  assert comparison.summarize([4.0, 5.0, 6.0]) == (5.0, 1.0, 3)


def test_summary_of_one_and_of_none():
  one = comparison.summarize([4.0])
  assert one.mean == 4.0 and math.isnan(one.std) and one.n == 1
  assert math.isnan(comparison.summarize([]).mean)


def test_a_diverged_seed_is_not_dropped():
  assert math.isnan(comparison.summarize([4.0, math.nan]).mean)
  assert comparison.interval([4.0, math.nan, 5.0]) is None


def test_interval_by_hand():
  # Two values: t(0.975, 1) = 12.706, s = √2 / 10, s / √2 = 0.1.
  low, high = comparison.interval([1.0, 1.2])
  assert low == pytest.approx(1.1 - 1.2706, abs=1e-4)
  assert high == pytest.approx(1.1 + 1.2706, abs=1e-4)
  # Three values: t(0.975, 2) = 4.3027, s = 1, s / √3 = 0.57735.
  low, high = comparison.interval([4.0, 5.0, 6.0])
  assert high - 5.0 == pytest.approx(4.3027 * 0.57735, abs=1e-4)


def test_no_interval_from_one_seed():
  assert comparison.interval([1.0]) is None
  assert comparison.interval([]) is None


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_difference_agrees_with_the_paired_t_test(count):
  generator = np.random.default_rng(count)
  theirs = dict(enumerate(generator.normal(5.1, 0.05, count).tolist()))
  ours = {s: v - 0.1 + generator.normal(0, 0.02) for s, v in theirs.items()}
  found = comparison.paired_difference(ours, theirs)
  test = stats.ttest_rel(list(ours.values()), list(theirs.values()))
  expected = test.confidence_interval(0.95)
  assert found.interval.low == pytest.approx(expected.low)
  assert found.interval.high == pytest.approx(expected.high)
  # Decided exactly where the paired test has p < 0.05.
  decided = comparison.judge_difference(found) is not Verdict.UNDECIDED
  assert decided == (test.pvalue < 0.05)


def test_difference_pairs_by_seed_and_not_by_order():
  ours = {2: 4.0, 0: 5.0, 7: 1.0}
  theirs = {0: 5.5, 1: 9.0, 2: 4.3}
  found = comparison.paired_difference(ours, theirs)
  assert found.seeds == (0, 2)
  assert found.n == 2
  assert found.mean == pytest.approx((-0.5 - 0.3) / 2)


def test_pairing_cancels_what_seeds_share():
  theirs = {0: 1.0, 1: 50.0, 2: 900.0}
  ours = {seed: loss - 0.1 for seed, loss in theirs.items()}
  found = comparison.paired_difference(ours, theirs)
  assert found.interval.high == pytest.approx(-0.1, abs=1e-9)


def test_difference_without_shared_seed():
  found = comparison.paired_difference({0: 1.0}, {1: 2.0})
  assert found.n == 0 and found.interval is None and math.isnan(found.mean)
  assert comparison.judge_difference(found) is Verdict.UNDECIDED


@pytest.mark.parametrize(
  ("differences", "expected"),
  [
    ([-0.30, -0.31, -0.29], Verdict.BEATS),
    ([0.30, 0.31, 0.29], Verdict.DOES_NOT_BEAT),
    ([-0.30, 0.31, -0.01], Verdict.UNDECIDED),
    ([-0.30], Verdict.UNDECIDED),
  ],
)
def test_verdicts(differences, expected):
  ours = dict(enumerate(differences))
  found = comparison.paired_difference(ours, {seed: 0.0 for seed in ours})
  assert comparison.judge_difference(found) is expected


def test_speedup_over_seeds():
  found = comparison.summarize_speedups({0: 0.2, 1: 0.4})
  assert found.mean == pytest.approx(0.3)
  # s / √2 = 0.1; t(0.975, 1) = 12.706
  assert found.interval.high == pytest.approx(0.3 + 1.2706, abs=1e-4)
  assert (found.reached, found.total, found.seeds) == (2, 2, (0, 1))


def test_speedup_where_a_run_never_reaches():
  found = comparison.summarize_speedups({0: 0.2, 1: None, 2: 0.3})
  assert found.mean is None and found.interval is None
  assert (found.reached, found.total) == (2, 3)


def test_speedup_of_one_seed_has_no_interval():
  found = comparison.summarize_speedups({4: 0.2})
  assert found.mean == pytest.approx(0.2)
  assert found.interval is None
