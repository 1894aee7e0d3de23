# SPDX-License-Identifier: Apache-2.0
"""Rotations against matrices written out, and as normal as dense directions."""

import jax
import numpy as np
import pytest

from data_efficient.kernels import projections


def make(dimensions, num_rows, hashes=2, seed=0):
  return projections.rotations(
    jax.random.key(seed),
    dimensions=dimensions,
    num_rows=num_rows,
    hashes=hashes,
  )


def _sylvester(width):
  count = [[bin(i & j).count("1") for j in range(width)] for i in range(width)]
  return (-1.0) ** np.array(count)


@pytest.mark.parametrize("dimensions,width", [(3, 128), (128, 128), (200, 256)])
def test_rotations_are_the_matrices(dimensions, width):
  rotations = make(dimensions, num_rows=width + 5)
  vectors = np.random.default_rng(0).normal(size=(4, dimensions))
  vectors = vectors.astype(np.float32)
  for start, size in ((0, width), (width, 5)):
    found = rotations.project(vectors, start, size)
    assert found.shape == (2, size, 4)
    for j in range(2):
      turned = np.pad(vectors, ((0, 0), (0, width - dimensions))).T
      for signs in np.float64(rotations.signs[j, start // width]):
        turned = _sylvester(width) @ (signs[:, None] * turned) / np.sqrt(width)
      expected = np.sqrt(width) * turned[:size]
      np.testing.assert_allclose(found[j], expected, rtol=1e-4, atol=1e-4)


def test_projections_have_the_moments_of_a_normal_distribution():
  vector = np.zeros((1, 90), np.float32)
  vector[0, :3] = 3, -2, 1  # few entries are the hardest to spread
  found = np.concatenate(
    [
      np.ravel(make(90, 128 * 40, seed=1).project(vector, 128 * block, 128))
      for block in range(40)
    ]
  ) / np.sqrt(14)
  assert abs(found.mean()) < 0.05
  assert abs(found.var() - 1) < 0.05
  assert abs((found**4).mean() - 3) < 0.3


def test_fewer_rows_are_the_head_of_more_rows():
  vectors = np.ones((2, 3), np.float32)
  few, many = make(3, 130), make(3, 500)
  for start in (0, 128):
    np.testing.assert_array_equal(
      few.project(vectors, start, 2), many.project(vectors, start, 128)[:, :2]
    )


def test_both_know_their_dimensions():
  dense = projections.dense(
    jax.random.key(0), dimensions=7, num_rows=3, hashes=2
  )
  assert dense.dimensions == 7 and make(7, 3).dimensions == 7
  assert make(7, 3).chunk == 128 and make(700, 3).chunk == 1024
