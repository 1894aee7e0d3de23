# SPDX-License-Identifier: Apache-2.0
"""Bits against their definition, collisions against the closed form."""

import math

import jax
import numpy as np
import pytest

from data_efficient.kernels import angular, hashing


def make(num_rows=5, dimensions=3, bits=4, seed=0, **more):
  return angular.init(
    jax.random.key(seed),
    dimensions=dimensions,
    num_rows=num_rows,
    bits=bits,
    **more,
  )


def _words_by_definition(hashes, vectors):
  directions = np.float64(hashes.projection.directions)
  bits, rows, _ = directions.shape
  found = np.zeros((rows, len(vectors)), np.int64)
  for r, n in np.ndindex(*found.shape):
    for j in range(bits):
      side = sum(directions[j, r] * np.float64(vectors[n])) >= 0
      found[r, n] = 2 * found[r, n] + side
  return found


@pytest.mark.parametrize("size,bits", [(1, 1), (7, 4), (7, 30)])
def test_words_are_the_sides_of_planes(size, bits):
  vectors = np.random.default_rng(0).normal(size=(size, 3)).astype(np.float32)
  hashes = make(bits=bits)
  (words,) = hashes.words(vectors, 0, 5)
  expected = _words_by_definition(hashes, vectors)
  np.testing.assert_array_equal(words, expected)
  (part,) = hashes.words(vectors, 1, 3)
  np.testing.assert_array_equal(part, expected[1:4])


def test_lengths_do_not_matter():
  vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
  words = [np.asarray(make().words(s * vectors, 0, 5)[0]) for s in (1, 4)]
  np.testing.assert_array_equal(*words)


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("angle, bits", [(0.05, 9), (0.8, 2), (3.0, 1)])
def test_collisions_happen_as_often_as_the_closed_form_says(
  angle, bits, structured
):
  rows = 20_000
  hashes = make(rows, 5, bits=bits, structured=structured)
  x, y = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))[0].T
  vectors = np.float32([x, 3 * (math.cos(angle) * x + math.sin(angle) * y)])
  buckets = np.asarray(hashing.buckets(hashes, vectors, num_buckets=2**30))
  expected = float(angular.collision_probability(np.float32(angle), bits=bits))
  assert expected == pytest.approx((1 - angle / math.pi) ** bits, rel=1e-5)
  error = np.mean(buckets[:, 0] == buckets[:, 1]) - expected
  assert abs(error) < 4 * math.sqrt(expected * (1 - expected) / rows)


@pytest.mark.parametrize("bits", [0, 31])
def test_impossible_bits_are_refused(bits):
  with pytest.raises(ValueError, match="at most 30 bits|at least one"):
    make(bits=bits)
