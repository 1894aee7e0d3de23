# SPDX-License-Identifier: Apache-2.0
"""Both formulations against counting by hand, and against each other."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from data_efficient.kernels import counting

ADD = {"scatter": counting.add_by_scatter, "product": counting.add_by_product}
SUM = {"gather": counting.sums_by_gather, "product": counting.sums_by_product}
ROWS, START = 19, 3


def some(num_buckets, rows=11, size=37, seed=0):
  generator = np.random.default_rng(seed)
  counts = generator.integers(0, 2**31 - size, (ROWS, num_buckets), np.int32)
  found = generator.integers(0, num_buckets, (rows, size), np.int32)
  found[:, : size // 2] = found[:, :1]  # crowded buckets
  present = generator.integers(0, 2, size, np.int32)
  return counts, found, present


@pytest.mark.parametrize("form", ADD)
@pytest.mark.parametrize("num_buckets", [2, 127, 128, 300])
@pytest.mark.parametrize("size", [1, 37])
def test_adding_is_counting_by_hand(form, num_buckets, size):
  counts, found, present = some(num_buckets, size=size)
  expected = counts.copy()
  for r, i in np.ndindex(*found.shape):
    expected[START + r, found[r, i]] += present[i]
  after = jax.jit(ADD[form])(counts, START, found, present)
  np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("form", SUM)
@pytest.mark.parametrize("num_buckets", [2, 127, 128, 300])
@pytest.mark.parametrize("size", [1, 37])
def test_summing_is_counting_by_hand(form, num_buckets, size):
  counts, found, _ = some(num_buckets, size=size)
  values = np.array(
    [[counts[START + r, b] for b in row] for r, row in enumerate(found)]
  )
  high, low = np.asarray(jax.jit(SUM[form])(counts, START, found))
  exact = values.astype(np.int64).sum(axis=0)
  np.testing.assert_array_equal(high.astype(np.int64) * 2**16 + low, exact)
  np.testing.assert_allclose(
    counting.joined(jnp.stack([high, low])), exact, rtol=1e-7
  )


def test_the_largest_sums_fit():
  # As many rows as a sketch may have, each with the largest counter.
  most = np.full((2**15, 1), 2**31 - 1, np.int32)
  high, low = np.asarray(counting.halves(jnp.asarray(most)))
  exact = 2**15 * (2**31 - 1)
  assert int(high[0]) * 2**16 + int(low[0]) == exact
