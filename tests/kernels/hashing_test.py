# SPDX-License-Identifier: Apache-2.0
"""Folding codes into buckets, against Python's whole numbers."""

import math

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from data_efficient.kernels import angular, hashing, p_stable

PRIME = 2**31 - 1
ROWS = 150  # more than one chunk


def make(family, num_rows=ROWS, **changes):
  key = jax.random.key(0)
  if family == "angular":
    settings = {"dimensions": 3, "num_rows": num_rows, "bits": 4}
    return angular.init(key, **settings | changes)
  settings = {"dimensions": 3, "num_rows": num_rows, "width": 0.5}
  return p_stable.init(key, **settings | {"hashes_per_row": 2} | changes)


def _folded(hashes, words, num_buckets):
  found = np.zeros(words[0].shape, np.int64)
  for r, n in np.ndindex(*found.shape):
    mixed = int(hashes.shifts[r])
    for j, word in enumerate(words):
      mixed += int(hashes.multipliers[j, r]) * int(word[r, n])
    found[r, n] = mixed % PRIME % num_buckets
  return found


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("family", ["p_stable", "angular"])
def test_buckets_are_the_folded_words(family, structured):
  vectors = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
  hashes = make(family, structured=structured)
  words = [
    np.concatenate([hashes.words(vectors, 0, 128)[j], rest])
    for j, rest in enumerate(hashes.words(vectors, 128, ROWS - 128))
  ]
  found = hashing.buckets(hashes, vectors, num_buckets=11)
  np.testing.assert_array_equal(found, _folded(hashes, words, 11))


def test_modular_arithmetic_in_32_bits_is_exact_at_the_edges():
  edges = [0, 1, 2, 2**15, 2**16 - 1, 2**16, 2**30, PRIME - 2, PRIME - 1]
  generator = np.random.default_rng(0)
  numbers = np.uint32(edges + list(generator.integers(0, PRIME, 200)))
  m, s = (part.ravel() for part in np.meshgrid(numbers[::3], numbers[::7]))
  found = hashing._multiply_add_mod_mersenne(
    jnp.asarray(np.tile(numbers[None, :], (len(m), 1))),
    jnp.asarray(m)[:, None],
    jnp.asarray(s)[:, None],
  )
  wide = [values.astype(object) for values in (numbers[None, :], m, s)]
  exact = wide[0] * wide[1][:, None] + wide[2][:, None]
  np.testing.assert_array_equal(found, (exact % PRIME).astype(np.uint32))


@pytest.mark.parametrize("family", ["p_stable", "angular"])
def test_different_codes_share_a_bucket_once_in_b(family):
  rows, num_buckets = 20_000, 13
  hashes = make(family, num_rows=rows)
  vectors = np.float32([[1, 0, 0], [-40, 20, 0]])
  words = np.stack([hashes.words(vectors, 0, rows)])[0]
  buckets = np.asarray(
    hashing.buckets(hashes, vectors, num_buckets=num_buckets)
  )
  apart = np.any(np.asarray(words)[:, :, 0] != np.asarray(words)[:, :, 1], 0)
  share = np.mean(buckets[apart, 0] == buckets[apart, 1])
  assert abs(share - 1 / num_buckets) < 4 * math.sqrt(1 / num_buckets / rows)


def test_no_bucket_is_refused():
  with pytest.raises(ValueError, match="num_buckets must be from 1"):
    hashing.buckets(
      make("angular"), np.zeros((1, 3), np.float32), num_buckets=0
    )
