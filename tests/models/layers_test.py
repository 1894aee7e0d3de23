# SPDX-License-Identifier: Apache-2.0
"""Relative positions against the definition."""

import numpy as np
import pytest

from data_efficient.models import layers


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("buckets, distance", [(32, 128), (8, 10), (16, 20)])
def test_buckets_equal_the_definition(
  bidirectional, buckets, distance, twin_bucket
):
  table = layers.relative_position_buckets(
    num_queries=150,
    num_keys=140,
    bidirectional=bidirectional,
    num_buckets=buckets,
    max_distance=distance,
  )
  expected = [
    [twin_bucket(j - i, bidirectional, buckets, distance) for j in range(140)]
    for i in range(150)
  ]
  assert np.array_equal(table, expected)
  assert table.min() == 0 and table.max() == buckets - 1


def test_buckets_of_t5_by_hand():
  table = layers.relative_position_buckets(
    num_queries=200,
    num_keys=200,
    bidirectional=True,
    num_buckets=32,
    max_distance=128,
  )
  # Each starts a bucket: 8, and 8 · 2^(k / 2) rounded up.
  starts = [8, 12, 16, 23, 32, 46, 64, 91]
  assert [table[199, 199 - start] for start in starts] == list(range(8, 16))
  assert [table[199, 200 - start] for start in starts] == list(range(7, 15))
  assert [table[0, start] for start in starts] == list(range(24, 32))
