# SPDX-License-Identifier: Apache-2.0
"""Exact kernel sums against two loops."""

import math

import numpy as np
import pytest

from data_efficient.kernels import kernel_density


def vectors(size, seed=0):
  return np.random.default_rng(seed).normal(size=(size, 6)).astype(np.float32)


def _kernel(distance, width):
  if distance == 0:
    return 1.0
  t = width / distance
  cumulative = 0.5 * (1 + math.erf(-t / math.sqrt(2)))
  edge = 2 / (math.sqrt(2 * math.pi) * t) * (1 - math.exp(-t * t / 2))
  return 1 - 2 * cumulative - edge


def _sums_by_loops(queries, data, width):
  return [
    sum(
      _kernel(math.dist(y.astype(np.float64), x.astype(np.float64)), width)
      for x in data
    )
    for y in queries
  ]


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize("width", [0.1, 2.0])
def test_sums_are_the_double_loop(size, block, width):
  queries, data = vectors(3), vectors(size, seed=1)
  data[0] = queries[0]
  np.testing.assert_allclose(
    kernel_density.kernel_sums(queries, data, width=width, block=block),
    _sums_by_loops(queries, data, width),
    rtol=1e-5,
  )


def test_several_hashes_are_a_power_of_the_kernel():
  queries, data = vectors(3), vectors(10, seed=1)
  found = kernel_density.kernel_sums(
    queries, data, width=2.0, block=4, hashes_per_row=3
  )
  expected = [
    sum(_kernel(math.dist(y, x), 2.0) ** 3 for x in data) for y in queries
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def _angular_sums_by_loops(queries, data, bits):
  sums = []
  for y in queries.astype(np.float64):
    cosines = [
      y @ x / math.hypot(*x) / math.hypot(*y) for x in data.astype(np.float64)
    ]
    angles = np.arccos(np.clip(cosines, -1, 1))
    sums.append(((1 - angles / math.pi) ** bits).sum())
  return sums


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize("bits", [1, 7])
def test_angular_sums_are_the_double_loop(size, block, bits):
  queries, data = vectors(3), vectors(size, seed=1)
  data[0] = -3 * queries[0]
  np.testing.assert_allclose(
    kernel_density.angular_kernel_sums(queries, data, bits=bits, block=block),
    _angular_sums_by_loops(queries, data, bits),
    rtol=1e-5,
    atol=1e-6,
  )


def test_angles_of_near_duplicates_of_any_length():
  x = np.float32([[1e-30, 0], [3e30, 0]])
  y = np.float32([[2, 0], [2, 2e-5], [0, 1], [-5, 0]])
  found = kernel_density.angles(x, y)
  expected = [[0, 1e-5, math.pi / 2, math.pi]] * 2
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_near_duplicates_keep_their_distance():
  x = np.full((1, 6), 1000, np.float32)
  y = x + np.float32([[0, 0, 0, 0, 0, 0.25]])
  distances = kernel_density.distances(x, np.concatenate([x, y]))
  np.testing.assert_array_equal(distances, [[0, 0.25]])


def test_no_data_sums_to_zero():
  sums = kernel_density.kernel_sums(vectors(3), vectors(0), width=1.0, block=4)
  np.testing.assert_array_equal(sums, 0)
