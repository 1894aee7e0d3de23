# SPDX-License-Identifier: Apache-2.0
"""The sample of a stream is uniform and does not depend on its blocks."""

import numpy as np
from scipy import stats

from data_efficient.scorers import subsample


def test_samples_are_in_order_and_without_repetition():
  found = subsample.sample(iter(range(10_000)), 50, seed=0)
  assert found == sorted(set(found)) and len(found) == 50
  assert found == subsample.sample(range(10_000), 50, seed=0)
  assert found != subsample.sample(range(10_000), 50, seed=1)


def test_a_short_stream_is_taken_whole():
  assert subsample.sample("abc", 5, seed=0) == ["a", "b", "c"]
  assert subsample.sample("abc", 0, seed=0) == []


def test_every_position_is_as_likely():
  counts = np.zeros(20)
  for seed in range(1000):
    counts[subsample.sample(range(20), 4, seed=seed)] += 1
  assert stats.chisquare(counts).pvalue > 1e-4


def test_arrays_are_never_compared():
  rows = np.zeros((9, 3))
  assert len(subsample.sample(rows, 4, seed=0)) == 4
