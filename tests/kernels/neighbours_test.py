# SPDX-License-Identifier: Apache-2.0
"""The nearest of all keys, however they are cut into blocks."""

import numpy as np
import pytest

from data_efficient.kernels import neighbours


def _vectors(rows, seed):
  found = np.random.default_rng(seed).normal(size=(rows, 6))
  found /= np.linalg.norm(found, axis=1, keepdims=True)
  return found.astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch):
  monkeypatch.setattr(neighbours, "_QUERIES", 8)
  monkeypatch.setattr(neighbours, "_KEYS", 16)


def test_the_nearest_of_all(small_blocks):
  queries, keys = _vectors(21, 0), _vectors(37, 1)
  found = neighbours.nearest(queries, keys, count=5)
  cosines = queries @ keys.T
  order = np.argsort(-cosines, axis=1, kind="stable")[:, :5]
  assert found.row.tolist() == order.tolist()
  expected = np.take_along_axis(cosines, order, axis=1)
  np.testing.assert_allclose(found.cosine, expected, atol=1e-6)


def test_of_equal_keys_the_first(small_blocks):
  keys = np.repeat(_vectors(1, 0), 40, axis=0)
  found = neighbours.nearest(keys[:3], keys, count=20)
  assert found.row.tolist() == [list(range(20))] * 3


def test_all_keys_and_too_many():
  keys = _vectors(7, 2)
  found = neighbours.nearest(keys, keys, count=7)
  assert found.row[:, 0].tolist() == list(range(7))
  assert np.sort(found.row, axis=1).tolist() == [list(range(7))] * 7
  with pytest.raises(ValueError, match="8 nearest of 7"):
    neighbours.nearest(keys, keys, count=8)
