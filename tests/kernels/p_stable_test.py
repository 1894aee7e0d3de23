# SPDX-License-Identifier: Apache-2.0
"""Codes against their definition, and collisions against the closed form."""

import math
import subprocess
import sys

import jax
import numpy as np
import pytest

from data_efficient.kernels import hashing, p_stable


def make(num_rows=5, dimensions=3, width=0.5, seed=0, **more):
  return p_stable.init(
    jax.random.key(seed),
    dimensions=dimensions,
    num_rows=num_rows,
    width=width,
    **more,
  )


def codes(hashes, vectors):
  """[L, R, n]."""
  return np.asarray(hashes.codes(vectors, 0, len(hashes.shifts)))


def _codes_by_definition(hashes, vectors):
  directions, offsets = (
    np.float64(part) for part in (hashes.projection.directions, hashes.offsets)
  )
  width = float(hashes.width)
  found = np.zeros((*offsets.shape, len(vectors)), np.int64)
  for j, r, n in np.ndindex(*found.shape):
    shifted = sum(np.float64(vectors[n]) * directions[j, r])
    found[j, r, n] = math.floor(shifted / width + offsets[j, r])
  return found


@pytest.mark.parametrize("size,hashes_per_row", [(1, 1), (7, 1), (7, 3)])
@pytest.mark.parametrize("jit", [True, False])
def test_codes_are_the_definition(size, hashes_per_row, jit):
  vectors = np.random.default_rng(size).normal(size=(size, 3)) * 4
  vectors = vectors.astype(np.float32)
  hashes = make(hashes_per_row=hashes_per_row)
  expected = _codes_by_definition(hashes, vectors)
  with jax.disable_jit(not jit):
    np.testing.assert_array_equal(codes(hashes, vectors), expected)
    part = hashes.codes(vectors, 2, 3)
  np.testing.assert_array_equal(part, expected[:, 2:5])


def test_far_vectors_are_clipped_and_nan_stays_in_range():
  vectors = np.float32([[1e30, 0, 0], [-1e30, 0, 0], [np.nan, 0, 0]])
  found = codes(make(), vectors)[:, :, :2]
  assert np.all(np.abs(found) == p_stable.LARGEST_CODE)
  buckets = np.asarray(hashing.buckets(make(), vectors, num_buckets=7))
  assert buckets.min() >= 0 and buckets.max() < 7


def test_fewer_rows_are_the_head_of_more_rows():
  few, many = (make(num_rows=rows, hashes_per_row=2) for rows in (3, 8))
  vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
  np.testing.assert_array_equal(
    hashing.buckets(few, vectors, num_buckets=97),
    hashing.buckets(many, vectors, num_buckets=97)[:3],
  )


def test_rows_and_seeds_differ():
  hashes = make(num_rows=50)
  assert len(np.unique(np.asarray(hashes.multipliers))) == 50
  assert len(np.unique(np.asarray(hashes.offsets))) == 50
  directions = [make(seed=s).projection.directions for s in (0, 1)]
  assert not np.any(directions[0] == directions[1])


def test_another_process_draws_the_same_hashes():
  program = (
    "import jax, numpy as np\n"
    "from data_efficient.kernels import hashing, p_stable\n"
    "h = p_stable.init(jax.random.key(3), dimensions=4, num_rows=6, width=.3)\n"
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


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
  "distance, hashes_per_row", [(0.02, 3), (0.3, 1), (1.0, 3), (4.0, 1)]
)
def test_collisions_happen_as_often_as_the_closed_form_says(
  distance, hashes_per_row, structured
):
  rows = 20_000
  hashes = make(
    rows, 5, width=0.7, hashes_per_row=hashes_per_row, structured=structured
  )
  y = np.random.default_rng(0).normal(size=5)
  vectors = np.float32([[0.2, -1, 3, 0, 1], [0.2, -1, 3, 0, 1]])
  vectors[1] += distance * y / np.linalg.norm(y)
  # With 2³⁰ buckets, different codes hardly ever share one.
  buckets = np.asarray(hashing.buckets(hashes, vectors, num_buckets=2**30))
  expected = float(
    p_stable.collision_probability(
      np.float32(distance), width=0.7, hashes_per_row=hashes_per_row
    )
  )
  error = np.mean(buckets[:, 0] == buckets[:, 1]) - expected
  assert abs(error) < 4 * math.sqrt(expected * (1 - expected) / rows)


def _collision_by_integration(distance, width):
  """∫₀ʷ f_c(t)(1 − t/w) dt, f_c the density of |N(0, c²)|: Datar's Eq. 1."""
  t = (np.arange(200_000) + 0.5) * width / 200_000
  density = 2 / (distance * math.sqrt(2 * math.pi))
  density = density * np.exp(-((t / distance) ** 2) / 2)
  return np.mean(density * (1 - t / width)) * width


@pytest.mark.parametrize("distance", [0.01, 0.5, 1.0, 30.0, 1e4])
def test_collision_probability_is_the_integral(distance):
  found = p_stable.collision_probability(np.float32([distance]), width=1.0)
  expected = _collision_by_integration(distance, 1.0)
  np.testing.assert_allclose(found[0], expected, rtol=2e-6)


def test_collision_probability_is_one_at_zero_and_falls():
  distances = np.float32([0, 1e-30, 1e-3, 1, 1e3])
  values = np.asarray(p_stable.collision_probability(distances, width=0.1))
  assert values[0] == 1 and values[1] == 1
  assert np.all(np.diff(values[1:]) < 0) and values[-1] > 0


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
