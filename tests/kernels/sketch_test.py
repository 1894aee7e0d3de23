# SPDX-License-Identifier: Apache-2.0
"""The sketch against counting by hand, and against exact kernel sums."""

import functools

import jax
import numpy as np
import pytest

from data_efficient.kernels import (
  angular,
  counting,
  hashing,
  kernel_density,
  p_stable,
  sketch,
)

ROWS, BUCKETS = 150, 29  # more than one chunk of rows


def make(family="p_stable", num_rows=ROWS, seed=0, **changes):
  key = jax.random.key(seed)
  settings = {"dimensions": 8, "num_rows": num_rows, **changes}
  if family == "angular":
    return angular.init(key, **{"bits": 3} | settings)
  return p_stable.init(key, **{"width": 1.0} | settings)


def clustered(size=40, seed=0):
  generator = np.random.default_rng(seed)
  centres = generator.normal(size=(5, 8))
  vectors = centres[np.arange(size) % 5] + 0.3 * generator.normal(
    size=(size, 8)
  )
  return vectors.astype(np.float32)


def absorbed(hashes, vectors, mask=None, num_buckets=BUCKETS):
  empty = sketch.init(num_rows=len(hashes.shifts), num_buckets=num_buckets)
  mask = np.ones(len(vectors), bool) if mask is None else mask
  return sketch.update(empty, hashes, vectors, mask=mask)


def _counts_by_hand(hashes, vectors):
  found = np.asarray(hashing.buckets(hashes, vectors, num_buckets=BUCKETS))
  return np.stack([np.bincount(row, minlength=BUCKETS) for row in found])


@pytest.mark.parametrize(
  "family, structured, size",
  [("p_stable", False, 40), ("p_stable", True, 1), ("angular", True, 40)],
)
def test_counts_and_sums_are_counted(family, structured, size):
  hashes = make(family, structured=structured)
  seen, asked = clustered(size), clustered(3, seed=1)
  made = absorbed(hashes, seen)
  counts = _counts_by_hand(hashes, seen)
  np.testing.assert_array_equal(made.counts, counts)
  found = np.asarray(hashing.buckets(hashes, asked, num_buckets=BUCKETS))
  mean = np.take_along_axis(counts, found, axis=1).mean(axis=0)
  np.testing.assert_allclose(
    sketch.query(made, hashes, asked),
    (mean - size / BUCKETS) / (1 - 1 / BUCKETS),
    rtol=1e-5,
    atol=1e-5,
  )


@pytest.mark.parametrize("num_rows", [1, 256])
def test_rows_are_counted_whatever_the_chunks(num_rows):
  hashes = make(num_rows=num_rows)
  made = absorbed(hashes, clustered())
  np.testing.assert_array_equal(
    made.counts, _counts_by_hand(hashes, clustered())
  )


def _as_on_tpu(monkeypatch):
  """Programs that are traced from now on take TPU's formulation."""
  monkeypatch.setattr(
    jax.lax, "platform_dependent", lambda *, tpu, default: tpu()
  )
  jax.clear_caches()


def test_tpus_formulation_is_equal_in_every_bit(monkeypatch):
  hashes, vectors = make(), clustered()
  mask = np.arange(len(vectors)) < 31
  made = absorbed(hashes, vectors, mask)
  found = np.asarray(sketch.query(made, hashes, vectors))
  asked = []
  look_up = counting.sums_by_product
  monkeypatch.setattr(
    counting,
    "sums_by_product",
    lambda *some: asked.append(1) or look_up(*some),
  )
  _as_on_tpu(monkeypatch)
  other = absorbed(hashes, vectors, mask)
  np.testing.assert_array_equal(made.counts, other.counts)
  np.testing.assert_array_equal(found, sketch.query(other, hashes, vectors))
  assert asked
  monkeypatch.undo()
  jax.clear_caches()


def test_padding_is_not_counted():
  hashes, vectors = make(), clustered()
  vectors[31:] = np.nan
  masked = absorbed(hashes, vectors, np.arange(40) < 31)
  np.testing.assert_array_equal(
    masked.counts, _counts_by_hand(hashes, vectors[:31])
  )
  assert int(masked.total) == 31


def test_merging_parts_is_sketching_the_whole():
  hashes, vectors = make(), clustered()
  whole = absorbed(hashes, vectors)
  merged = sketch.merge(
    absorbed(hashes, vectors[:16]), absorbed(hashes, vectors[16:])
  )
  shuffled = absorbed(hashes, vectors[::-1])
  for other in (merged, shuffled):
    np.testing.assert_array_equal(whole.counts, other.counts)
    assert int(whole.total) == int(other.total)


def test_equal_vectors_have_density_one():
  vectors = np.tile(clustered(1), (20, 1))
  made = absorbed(make(), vectors)
  np.testing.assert_allclose(sketch.query(made, make(), vectors), 20, rtol=1e-6)


@functools.cache
def _exact(family, size=600):
  vectors = clustered(size)
  if family == "angular":
    sums = kernel_density.angular_kernel_sums(
      vectors, vectors, bits=3, block=128
    )
  else:
    sums = kernel_density.kernel_sums(vectors, vectors, width=1.0, block=128)
  return vectors, np.asarray(sums)


def relative_error(family, num_rows, num_buckets=1000, seeds=4, **more):
  vectors, exact = _exact(family)
  errors = []
  for seed in range(seeds):
    hashes = make(family, num_rows, seed=seed, **more)
    made = absorbed(hashes, vectors, num_buckets=num_buckets)
    estimate = np.asarray(sketch.query(made, hashes, vectors))
    errors.append(estimate / exact - 1)
  return np.array(errors)


def _size(errors):
  return np.sqrt(np.mean(errors**2))


@pytest.mark.parametrize(
  "family, structured", [("p_stable", True), ("angular", False)]
)
def test_error_falls_as_one_over_the_root_of_rows(family, structured):
  few = _size(relative_error(family, 25, seeds=16, structured=structured))
  many = _size(relative_error(family, 400, structured=structured))
  assert many < 0.12
  assert 2.5 < few / many < 6.5  # √(400/25) = 4


@pytest.mark.parametrize(
  "family, num_buckets", [("p_stable", 2), ("angular", 7)]
)
def test_folding_into_few_buckets_leaves_no_bias(family, num_buckets):
  # Without the correction, 2 buckets would double these sums and more.
  errors = relative_error(family, 400, num_buckets=num_buckets, seeds=8)
  assert abs(np.mean(errors)) < 0.1


def test_structured_projections_are_as_accurate_as_dense_ones():
  dense, structured = (
    _size(relative_error("p_stable", 400, structured=structured))
    for structured in (False, True)
  )
  assert structured < 1.15 * dense


@pytest.mark.parametrize("sizes", [(0, 5), (4, 1)])
def test_a_sketch_that_says_nothing_is_refused(sizes):
  with pytest.raises(ValueError, match="one row and two buckets"):
    sketch.init(num_rows=sizes[0], num_buckets=sizes[1])


@pytest.mark.parametrize("sizes", [(2**16, 2), (2**15, 2**16)])
def test_a_sketch_beyond_32_bits_is_refused(sizes):
  with pytest.raises(ValueError, match="at most 2,147,483,647 counters"):
    sketch.init(num_rows=sizes[0], num_buckets=sizes[1])


def test_a_block_that_fp32_cannot_count_is_refused(monkeypatch):
  monkeypatch.setattr(counting, "LARGEST_BLOCK", 30)
  with pytest.raises(ValueError, match="at most 30 vectors, got 41: cut it"):
    absorbed(make(), clustered(41))
