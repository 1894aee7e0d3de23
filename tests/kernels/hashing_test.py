# SPDX-License-Identifier: Apache-2.0
"""Hashes against their definition, and collisions against the closed form."""

import math
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from data_efficient.kernels import hashing

PRIME = 2**31 - 1


def make(num_rows=5, dimensions=3, width=0.5, seed=0, hashes_per_row=1):
  return hashing.init(
    jax.random.key(seed),
    dimensions=dimensions,
    num_rows=num_rows,
    width=width,
    hashes_per_row=hashes_per_row,
  )


def _codes_by_definition(hashes, vectors):
  directions, offsets = map(np.float64, (hashes.directions, hashes.offsets))
  width = float(hashes.width)
  codes = []
  for x in np.float64(vectors):
    row = []
    for r in range(len(offsets)):
      shifted = sum(x * directions[:, r]) + offsets[r] * width
      row.append(math.floor(shifted / width))
    codes.append(row)
  return np.array(codes)


def _buckets_by_definition(hashes, codes, num_buckets):
  num_rows = len(hashes.shifts)
  buckets = np.zeros((len(codes), num_rows), np.int64)
  for n, r in np.ndindex(*buckets.shape):
    mixed = int(hashes.shifts[r])
    for h in range(r, codes.shape[1], num_rows):
      mixed += int(hashes.multipliers[h]) * (int(codes[n, h]) + 2**30)
    buckets[n, r] = mixed % PRIME % num_buckets
  return buckets


@pytest.mark.parametrize("size,hashes_per_row", [(1, 1), (7, 1), (7, 3)])
@pytest.mark.parametrize("jit", [True, False])
def test_codes_and_buckets_are_the_definition(size, hashes_per_row, jit):
  vectors = np.random.default_rng(size).normal(size=(size, 3)) * 4
  vectors = vectors.astype(np.float32)
  hashes = make(hashes_per_row=hashes_per_row)
  expected = _codes_by_definition(hashes, vectors)
  with jax.disable_jit(not jit):
    np.testing.assert_array_equal(hashing.codes(hashes, vectors), expected)
    np.testing.assert_array_equal(
      hashing.buckets(hashes, vectors, num_buckets=11),
      _buckets_by_definition(hashes, expected, 11),
    )


def test_modular_arithmetic_in_32_bits_is_exact_at_the_edges():
  edges = [0, 1, 2, 2**15, 2**16 - 1, 2**16, 2**30, PRIME - 2, PRIME - 1]
  generator = np.random.default_rng(0)
  numbers = np.uint32(edges + list(generator.integers(0, PRIME, 200)))
  m, s = (part.ravel() for part in np.meshgrid(numbers[::3], numbers[::7]))
  found = hashing._multiply_add_mod_mersenne(
    jnp.asarray(np.tile(numbers[:, None], len(m))),
    jnp.asarray(m)[None, :],
    jnp.asarray(s)[None, :],
  )
  exact = numbers[:, None].astype(object) * m.astype(object) + s.astype(object)
  np.testing.assert_array_equal(found, (exact % PRIME).astype(np.uint32))


def test_far_vectors_are_clipped_and_nan_stays_in_range():
  vectors = np.float32([[1e30, 0, 0], [-1e30, 0, 0], [np.nan, 0, 0]])
  codes = np.asarray(hashing.codes(make(), vectors))[:2]
  assert np.all(np.abs(codes) == hashing.LARGEST_CODE)
  buckets = np.asarray(hashing.buckets(make(), vectors, num_buckets=7))
  assert buckets.min() >= 0 and buckets.max() < 7


def test_fewer_rows_are_the_head_of_more_rows():
  few, many = (make(num_rows=rows, hashes_per_row=2) for rows in (3, 8))
  vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
  np.testing.assert_array_equal(
    hashing.buckets(few, vectors, num_buckets=97),
    hashing.buckets(many, vectors, num_buckets=97)[:, :3],
  )


def test_rows_and_seeds_differ():
  hashes = make(num_rows=50)
  assert len(np.unique(np.asarray(hashes.multipliers))) == 50
  assert len(np.unique(np.asarray(hashes.offsets))) == 50
  assert not np.any(make(seed=1).directions == make(seed=0).directions)


def test_another_process_draws_the_same_hashes():
  program = (
    "import jax, numpy as np\n"
    "from data_efficient.kernels import hashing\n"
    "h = hashing.init(jax.random.key(3), dimensions=4, num_rows=6, width=.3)\n"
    "x = np.arange(20, dtype=np.float32).reshape(5, 4)\n"
    "print(np.asarray(hashing.buckets(h, x, num_buckets=97)).tolist())\n"
  )
  result = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  vectors = np.arange(20, dtype=np.float32).reshape(5, 4)
  hashes = make(seed=3, dimensions=4, num_rows=6, width=0.3)
  expected = np.asarray(hashing.buckets(hashes, vectors, num_buckets=97))
  assert result.stdout.strip() == str(expected.tolist())


@pytest.mark.parametrize("hashes_per_row", [1, 3])
@pytest.mark.parametrize("distance", [0.02, 0.3, 1.0, 4.0])
def test_collisions_happen_as_often_as_the_closed_form_says(
  distance, hashes_per_row
):
  rows = 40_000
  hashes = make(rows, 5, width=0.7, hashes_per_row=hashes_per_row)
  y = np.random.default_rng(0).normal(size=5)
  vectors = np.float32([[0.2, -1, 3, 0, 1], [0.2, -1, 3, 0, 1]])
  vectors[1] += distance * y / np.linalg.norm(y)
  # With 2³⁰ buckets, different codes hardly ever share one.
  buckets = np.asarray(hashing.buckets(hashes, vectors, num_buckets=2**30))
  expected = float(
    hashing.collision_probability(
      np.float32(distance), width=0.7, hashes_per_row=hashes_per_row
    )
  )
  error = np.mean(buckets[0] == buckets[1]) - expected
  assert abs(error) < 4 * math.sqrt(expected * (1 - expected) / rows)


def _collision_by_integration(distance, width):
  """∫₀ʷ f_c(t)(1 − t/w) dt, f_c the density of |N(0, c²)|: Datar's Eq. 1."""
  t = (np.arange(200_000) + 0.5) * width / 200_000
  density = 2 / (distance * math.sqrt(2 * math.pi))
  density = density * np.exp(-((t / distance) ** 2) / 2)
  return np.mean(density * (1 - t / width)) * width


@pytest.mark.parametrize("distance", [0.01, 0.5, 1.0, 30.0, 1e4])
def test_collision_probability_is_the_integral(distance):
  found = hashing.collision_probability(np.float32([distance]), width=1.0)
  expected = _collision_by_integration(distance, 1.0)
  np.testing.assert_allclose(found[0], expected, rtol=2e-6)


def test_collision_probability_is_one_at_zero_and_falls():
  distances = np.float32([0, 1e-30, 1e-3, 1, 1e3])
  values = np.asarray(hashing.collision_probability(distances, width=0.1))
  assert values[0] == 1 and values[1] == 1
  assert np.all(np.diff(values[1:]) < 0) and values[-1] > 0


def test_different_codes_share_a_bucket_once_in_b():
  rows, num_buckets = 60_000, 13
  hashes = make(num_rows=rows)
  zero = np.zeros((1, 3), np.float32)
  far = np.float32([[40, 0, 0]])
  codes = np.asarray(hashing.codes(hashes, np.concatenate([zero, far])))
  buckets = np.asarray(
    hashing.buckets(
      hashes, np.concatenate([zero, far]), num_buckets=num_buckets
    )
  )
  apart = codes[0] != codes[1]
  share = np.mean(buckets[0][apart] == buckets[1][apart])
  assert abs(share - 1 / num_buckets) < 4 * math.sqrt(1 / num_buckets / rows)


@pytest.mark.parametrize(
  "change",
  [
    {"width": 0.0},
    {"width": float("nan")},
    {"num_rows": 0},
    {"hashes_per_row": 0},
  ],
)
def test_impossible_hashes_are_refused(change):
  with pytest.raises(ValueError, match="positive number|at least one"):
    make(**change)


def test_no_bucket_is_refused():
  with pytest.raises(ValueError, match="num_buckets must be from 1"):
    hashing.buckets(make(), np.zeros((1, 3), np.float32), num_buckets=0)
