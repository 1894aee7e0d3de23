# SPDX-License-Identifier: Apache-2.0
"""The sketch against counting by hand, and against exact kernel sums."""

import jax
import numpy as np
import pytest

from data_efficient.kernels import hashing, kernel_density, sketch


def buckets(size=9, num_rows=4, num_buckets=5, seed=0):
  generator = np.random.default_rng(seed)
  return generator.integers(0, num_buckets, (size, num_rows), np.int32)


def absorbed(found, mask=None, num_buckets=5):
  empty = sketch.init(num_rows=found.shape[1], num_buckets=num_buckets)
  mask = np.ones(len(found), bool) if mask is None else mask
  return sketch.update(empty, found, mask=mask)


def _sums_by_counting(seen, asked, num_buckets):
  sums = []
  for query in asked:
    shared = [
      sum(vector[r] == query[r] for vector in seen) for r in range(len(query))
    ]
    chance = len(seen) / num_buckets
    sums.append((np.mean(shared) - chance) / (1 - 1 / num_buckets))
  return np.array(sums)


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("jit", [True, False])
def test_sums_are_counted(size, jit):
  seen, asked = buckets(size), buckets(3, seed=1)
  with jax.disable_jit(not jit):
    found = sketch.query(absorbed(seen), asked)
  np.testing.assert_allclose(
    found, _sums_by_counting(seen, asked, 5), rtol=1e-5, atol=1e-6
  )


def test_padding_is_not_counted():
  seen = buckets()
  mask = np.arange(9) < 6
  chosen, masked = absorbed(seen[:6]), absorbed(seen, mask)
  np.testing.assert_array_equal(chosen.counts, masked.counts)
  assert int(masked.total) == 6


def test_every_vector_is_counted_once_a_row():
  counts = np.asarray(absorbed(buckets()).counts)
  np.testing.assert_array_equal(counts.sum(axis=1), 9)


def test_merging_parts_is_sketching_the_whole():
  seen = buckets()
  whole = absorbed(seen)
  merged = sketch.merge(absorbed(seen[:4]), absorbed(seen[4:]))
  shuffled = absorbed(seen[::-1])
  for other in (merged, shuffled):
    np.testing.assert_array_equal(whole.counts, other.counts)
    assert int(whole.total) == int(other.total)


def test_an_update_leaves_the_old_sketch_alone():
  empty = sketch.init(num_rows=4, num_buckets=5)
  sketch.update(empty, buckets(), mask=np.ones(9, bool))
  assert int(empty.counts.sum()) == 0 and int(empty.total) == 0


def test_equal_vectors_have_density_one():
  seen = np.tile(buckets(1), (20, 1))
  np.testing.assert_allclose(sketch.query(absorbed(seen), seen), 20, rtol=1e-6)


def relative_error(num_rows, num_buckets=1000, seeds=4):
  generator = np.random.default_rng(0)
  centres = generator.normal(size=(5, 8))
  vectors = centres[np.arange(600) % 5] + 0.3 * generator.normal(size=(600, 8))
  vectors = vectors.astype(np.float32)
  exact = kernel_density.kernel_sums(vectors, vectors, width=1.0, block=128)
  errors = []
  for seed in range(seeds):
    hashes = hashing.init(
      jax.random.key(seed), dimensions=8, num_rows=num_rows, width=1.0
    )
    found = hashing.buckets(hashes, vectors, num_buckets=num_buckets)
    estimate = sketch.query(absorbed(found, num_buckets=num_buckets), found)
    errors.append(np.asarray(estimate) / np.asarray(exact) - 1)
  return np.array(errors)


def test_error_falls_as_one_over_the_root_of_rows():
  few = np.sqrt(np.mean(relative_error(25, seeds=16) ** 2))
  many = np.sqrt(np.mean(relative_error(400) ** 2))
  assert many < 0.1
  assert 2.5 < few / many < 6.5  # √(400/25) = 4


@pytest.mark.parametrize("num_buckets", [2, 7, 1000])
def test_folding_into_few_buckets_leaves_no_bias(num_buckets):
  # Without the correction, 2 buckets would double these sums and more.
  errors = relative_error(800, num_buckets=num_buckets)
  assert abs(np.mean(errors)) < 0.1


@pytest.mark.parametrize("sizes", [(0, 5), (4, 1)])
def test_a_sketch_that_says_nothing_is_refused(sizes):
  with pytest.raises(ValueError, match="one row and two buckets"):
    sketch.init(num_rows=sizes[0], num_buckets=sizes[1])
