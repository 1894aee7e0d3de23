# SPDX-License-Identifier: Apache-2.0
"""Which pairs are computed, and what is learnt from them."""

import numpy as np
import pytest

from data_efficient.scorers import approximations
from data_efficient.scorers.approximations import ApproximationError, Records
from tests.scorers.embedded import (
  COLUMNS,
  EXAMPLES,
  ROWS,
  TARGETS,
  Embedder,
)


def _neighbours(count=4) -> approximations.Neighbours:
  return approximations.Neighbours(embedder=Embedder(), count=count)


def test_the_nearest_are_candidates_and_copies_are_not():
  texts = EXAMPLES.fingerprints.copy()
  # Two copies of target 0 among its examples, nearer than all others.
  texts[[7, 9]] = TARGETS.fingerprints[0]
  vectors = EXAMPLES.vectors.copy()
  vectors[[7, 9]] = TARGETS.vectors[0]
  examples = EXAMPLES._replace(fingerprints=texts, vectors=vectors)
  found = _neighbours().candidates(TARGETS, examples)
  cosines = TARGETS.vectors @ vectors.T
  for row in range(ROWS):
    allowed = [
      column
      for column in range(COLUMNS)
      if examples.scorable[column]
      and texts[column] != TARGETS.fingerprints[row]
    ]
    nearest = sorted(allowed, key=lambda c, r=row: (-cosines[r, c], c))[:4]
    expected = nearest if TARGETS.scorable[row] else [-1] * 4
    assert found[row].tolist() == expected


def test_fewer_examples_than_neighbours():
  few = Records(*(part[:3] for part in EXAMPLES))
  same = few.fingerprints[:1]
  target = TARGETS._replace(
    fingerprints=np.concatenate([same, TARGETS.fingerprints[1:]])
  )
  found = _neighbours(count=5).candidates(target, few)
  assert found.shape == (ROWS, 5)
  assert (np.sort(found[1])[2:] == [0, 1, 2]).all()
  assert sorted(found[0].tolist()) == [-1, -1, -1, 1, 2]


def test_vectors_of_nothing():
  nothing = EXAMPLES._replace(vectors=np.zeros_like(EXAMPLES.vectors))
  with pytest.raises(ApproximationError, match="use another embedder"):
    _neighbours().candidates(TARGETS, nothing)


def test_embeddings_are_unit_vectors_or_nothing():
  found = approximations.embedded(
    Embedder(), ["abc", "", "no vector"], ["abc", "xy"]
  )
  norms = np.linalg.norm(found[0], axis=1)
  np.testing.assert_allclose(norms, [1, 0, 0], atol=1e-6)
  np.testing.assert_array_equal(found[0][0], found[1][0])


def test_no_neighbours_are_no_approximation():
  with pytest.raises(ApproximationError, match="0 neighbours"):
    _neighbours(count=0)
