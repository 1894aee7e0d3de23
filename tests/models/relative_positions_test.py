# SPDX-License-Identifier: Apache-2.0
"""Relative positions against the definition."""

import jax
import numpy as np
import pytest

from data_efficient.models import relative_positions


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("buckets, distance", [(32, 128), (8, 10), (16, 20)])
def test_buckets_equal_the_definition(
  bidirectional, buckets, distance, twin_bucket
):
  table = relative_positions.relative_position_buckets(
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
  table = relative_positions.relative_position_buckets(
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


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("length", [1, 2, 7, 40])
def test_the_bias_of_a_pair_is_that_of_its_bucket(bidirectional, length):
  sizes = {"num_buckets": 8, "max_distance": 20, "bidirectional": bidirectional}
  module = relative_positions.RelativePositionBias(num_heads=3, **sizes)
  table = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
  buckets = relative_positions.relative_position_buckets(
    num_queries=length, num_keys=length, **sizes
  )
  weights = np.random.default_rng(1).normal(size=(3, length, length))

  def bias(table):
    return module.apply({"params": {"rel_embedding": table}}, length)[0]

  np.testing.assert_array_equal(bias(table), table[:, buckets])
  gradient = jax.grad(lambda table: (bias(table) * weights).sum())(table)
  expected = np.stack(
    [
      np.bincount(buckets.ravel(), weights=head.ravel(), minlength=8)
      for head in weights
    ]
  )
  np.testing.assert_allclose(gradient, expected, atol=1e-4)
