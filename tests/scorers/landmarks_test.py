# SPDX-License-Identifier: Apache-2.0
"""Columns and rows that tell the others."""

import numpy as np
import pytest

from data_efficient.scorers import landmarks
from data_efficient.scorers.approximations import ApproximationError
from tests.scorers.embedded import (
  COLUMNS,
  EXAMPLES,
  ROWS,
  TARGETS,
  WIDTH,
  Embedder,
  computed,
  records,
  whole,
)


def _low_rank(seed=2) -> np.ndarray:
  random = np.random.default_rng(seed)
  return random.normal(size=(ROWS, 3)) @ random.normal(size=(3, COLUMNS)) + 1


def _landmarks(**change) -> landmarks.Landmarks:
  settings = {
    **{"embedder": Embedder(), "examples": 8, "targets": 12},
    **{"choice": "kmeans", "seed": 0},
  } | change
  return landmarks.Landmarks(**settings)


@pytest.mark.parametrize("choice", landmarks.CHOICES)
def test_few_rows_and_columns_tell_a_kernel_of_low_rank(choice):
  values = _low_rank()
  surrogate = _landmarks(choice=choice)
  rectangles = surrogate.rectangles(TARGETS, EXAMPLES)
  columns, rows = rectangles
  assert len(columns.examples) == 8 and len(columns.targets) == ROWS - 1
  assert len(rows.targets) == 12 and len(rows.examples) == COLUMNS - 1 - 8
  assert not {3} & {*columns.targets, *rows.targets}
  assert not {5} & {*columns.examples, *rows.examples}
  known = computed(rectangles, values)
  found = whole(surrogate.fit(known, TARGETS, EXAMPLES))
  held = np.ones(values.shape, bool)
  held[[3]], held[:, [5]] = False, False
  for rectangle in rectangles:
    held[np.ix_(*rectangle)] = False
  assert held.sum() > 100
  np.testing.assert_allclose(found[held], values[held], atol=0.02)


def test_an_example_s_own_level_needs_no_landmark_that_has_it():
  surrogate = _landmarks()
  rectangles = surrogate.rectangles(TARGETS, EXAMPLES)
  random = np.random.default_rng(5)
  level = random.normal(size=COLUMNS)
  level[rectangles[0].examples] = 0
  values = random.normal(size=(ROWS, 1)) + level
  known = computed(rectangles, values)
  found = whole(surrogate.fit(known, TARGETS, EXAMPLES))
  rows = np.setdiff1d(np.arange(ROWS), [3])[:, None]
  columns = np.setdiff1d(np.arange(COLUMNS), [5])
  np.testing.assert_allclose(
    found[rows, columns], values[rows, columns], atol=1e-3
  )


def test_without_rows_an_example_is_what_its_likes_are():
  # Utilities that are linear in the example's embedding, for each target.
  random = np.random.default_rng(3)
  values = random.normal(size=(ROWS, WIDTH)) @ EXAMPLES.vectors.T
  surrogate = _landmarks(targets=0, examples=16)
  (rectangle,) = surrogate.rectangles(TARGETS, EXAMPLES)
  known = computed([rectangle], values)
  found = whole(surrogate.fit(known, TARGETS, EXAMPLES))
  others = np.setdiff1d(np.arange(COLUMNS), [*rectangle.examples, 5])
  rows = rectangle.targets[:, None]
  assert np.corrcoef(found[rows, others].flat, values[rows, others].flat)[
    0, 1
  ] > 0.85  # fmt: skip


def test_what_does_not_count_teaches_nothing():
  values, counts = _low_rank(), np.ones((ROWS, COLUMNS), bool)
  counts[4, :] = False
  spoilt = np.where(counts, values, np.nan)
  surrogate = _landmarks()
  rectangles = surrogate.rectangles(TARGETS, EXAMPLES)
  known = computed(rectangles, spoilt, counts)
  assert np.isfinite(whole(surrogate.fit(known, TARGETS, EXAMPLES))).all()
  nothing = [k._replace(counts=np.zeros_like(k.counts)) for k in known]
  with pytest.raises(ApproximationError, match="nothing to learn from"):
    surrogate.fit(nothing, TARGETS, EXAMPLES)


def test_the_ridge_is_the_one_that_predicts_rows_best():
  random = np.random.default_rng(4)
  parts = random.normal(size=(15, 6))
  wanted = parts @ random.normal(size=(6, 3)) + random.normal(size=(15, 3))

  def solved(rows, share):
    some = parts[rows]
    return np.linalg.solve(
      some.T @ some + share * np.eye(6), some.T @ wanted[rows]
    )

  power = np.linalg.svd(parts, compute_uv=False) ** 2
  errors = {
    share: sum(
      np.sum(
        (wanted[row] - parts[row] @ solved(np.arange(15) != row, share)) ** 2
      )
      for row in range(15)
    )
    for share in landmarks._RIDGES * power.mean()
  }
  best = min(errors, key=errors.get)
  np.testing.assert_allclose(
    landmarks.ridge(parts, wanted), solved(np.arange(15) >= 0, best), atol=1e-8
  )


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"choice": "evenly"}, "'evenly': expected one of"),
    ({"examples": 1}, "at least 2 examples"),
    ({"targets": 2}, "no target or at least 4"),
  ],
)
def test_settings_that_cannot_be(change, said):
  with pytest.raises(ApproximationError, match=said):
    _landmarks(**change)


def test_too_few_records():
  few = records(2)
  with pytest.raises(ApproximationError, match="compute all pairs"):
    _landmarks().rectangles(few, few)
