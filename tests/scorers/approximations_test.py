# SPDX-License-Identifier: Apache-2.0
"""Which pairs are computed, and what is learnt from them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.scorers import approximations, influence_network, landmarks
from data_efficient.scorers.approximations import (
  ApproximationError,
  Known,
  Records,
)
from tests.scorers.embedded import Embedder

ROWS, COLUMNS, WIDTH = 30, 24, 6


def _records(count, seed=0, unscorable=()) -> Records:
  vectors = np.random.default_rng(seed).normal(size=(count, WIDTH))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  scorable = np.ones(count, bool)
  scorable[list(unscorable)] = False
  texts = np.arange(count, dtype=np.uint64) + np.uint64(1000 * seed)
  return Records(vectors.astype(np.float32), texts, scorable)


TARGETS = _records(ROWS, unscorable=[3])
EXAMPLES = _records(COLUMNS, seed=1, unscorable=[5])


def _computed(rectangles, values, counts=None) -> list[Known]:
  counts = np.ones(values.shape, bool) if counts is None else counts
  return [
    Known(
      rectangle,
      values[np.ix_(*rectangle)].astype(np.float32),
      counts[np.ix_(*rectangle)],
    )
    for rectangle in rectangles
  ]


def _whole(predictor, shape=(ROWS, COLUMNS)) -> np.ndarray:
  """All predictions, in uneven blocks."""
  edges = [sorted({0, count // 3, count}) for count in shape]
  found = np.full(shape, np.nan)
  for rows in zip(edges[0], edges[0][1:], strict=False):
    for columns in zip(edges[1], edges[1][1:], strict=False):
      found[slice(*rows), slice(*columns)] = predictor.predict(
        slice(*rows), slice(*columns)
      )
  return found


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
  known = _computed(rectangles, values)
  found = _whole(surrogate.fit(known, TARGETS, EXAMPLES))
  held = np.ones(values.shape, bool)
  held[[3]], held[:, [5]] = False, False
  for rectangle in rectangles:
    held[np.ix_(*rectangle)] = False
  assert held.sum() > 100
  np.testing.assert_allclose(found[held], values[held], atol=0.02)


def test_without_rows_an_example_is_what_its_likes_are():
  # Utilities that are linear in the example's embedding, for each target.
  random = np.random.default_rng(3)
  values = random.normal(size=(ROWS, WIDTH)) @ EXAMPLES.vectors.T
  surrogate = _landmarks(targets=0, examples=16)
  (rectangle,) = surrogate.rectangles(TARGETS, EXAMPLES)
  known = _computed([rectangle], values)
  found = _whole(surrogate.fit(known, TARGETS, EXAMPLES))
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
  known = _computed(rectangles, spoilt, counts)
  assert np.isfinite(_whole(surrogate.fit(known, TARGETS, EXAMPLES))).all()
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


def _network(**change) -> influence_network.InfluenceNetwork:
  settings = {
    **{"embedder": Embedder(), "fraction": 0.7, "hidden": 32},
    **{"learning_rate": 0.01, "epochs": 60, "batch": 16, "seed": 0},
  } | change
  return influence_network.InfluenceNetwork(**settings)


@pytest.fixture(scope="module")
def learnt():
  """A network that learnt utilities of its inputs, and these."""
  values = (TARGETS.vectors @ EXAMPLES.vectors[:, ::-1].T) * 0.01 + 5
  surrogate = _network()
  (rectangle,) = surrogate.rectangles(TARGETS, EXAMPLES)
  known = _computed([rectangle], values)
  return surrogate, rectangle, values, surrogate.fit(known, TARGETS, EXAMPLES)


def test_a_network_predicts_what_it_was_not_shown(learnt):
  _, rectangle, values, trained = learnt
  found = _whole(trained)
  held = np.ones(values.shape, bool)
  held[np.ix_(*rectangle)] = False
  assert np.corrcoef(found[held], values[held])[0, 1] > 0.8
  assert abs(found.mean() - 5) < 0.01


def test_halves_of_the_first_layer_are_the_whole_one(learnt):
  _, _, _, trained = learnt
  weights = trained.parameters
  kernel = np.concatenate(
    [weights[side]["kernel"] for side in ("target", "example")]
  ).astype(np.float64)
  slow = np.zeros((ROWS, COLUMNS))
  for i in range(ROWS):
    for j in range(COLUMNS):
      both = np.concatenate([TARGETS.vectors[i], EXAMPLES.vectors[j]])
      hidden = np.maximum(both @ kernel + weights["target"]["bias"], 0)
      out = hidden @ weights["out"]["kernel"][:, 0] + weights["out"]["bias"][0]
      slow[i, j] = out * trained.scale + trained.mean
  np.testing.assert_allclose(_whole(trained), slow, atol=1e-5)


def test_the_size_of_the_first_layer_s_beginning():
  network = influence_network.Network(4000)
  wide = jnp.ones((1, 50))
  weights = network.init(jax.random.key(0), wide, wide)["params"]
  for side in ("target", "example"):
    assert np.var(weights[side]["kernel"]) == pytest.approx(1 / 100, rel=0.05)


def test_the_same_seed_learns_the_same(learnt):
  surrogate, rectangle, values, trained = learnt
  known = _computed([rectangle], values)
  again = surrogate.fit(known, TARGETS, EXAMPLES)
  np.testing.assert_array_equal(_whole(again), _whole(trained))
  other = dataclasses.replace(surrogate, seed=1)
  (drawn,) = other.rectangles(TARGETS, EXAMPLES)
  assert drawn.targets.tolist() != rectangle.targets.tolist()


def test_embeddings_are_unit_vectors_or_nothing():
  found = approximations.embedded(
    Embedder(), ["abc", "", "no vector"], ["abc", "xy"]
  )
  norms = np.linalg.norm(found[0], axis=1)
  np.testing.assert_allclose(norms, [1, 0, 0], atol=1e-6)
  np.testing.assert_array_equal(found[0][0], found[1][0])


@pytest.mark.parametrize(
  ("make", "said"),
  [
    (lambda: _neighbours(count=0), "0 neighbours"),
    (lambda: _landmarks(choice="evenly"), "'evenly': expected one of"),
    (lambda: _landmarks(examples=1), "at least 2 examples"),
    (lambda: _landmarks(targets=2), "no target or at least 4"),
    (lambda: _network(fraction=1.0), "between 0 and 1"),
    (lambda: _network(hidden=0), "numbers from 1"),
  ],
)
def test_settings_that_cannot_be(make, said):
  with pytest.raises(ApproximationError, match=said):
    make()


@pytest.mark.parametrize("surrogate", [_landmarks(), _network()])
def test_too_few_records(surrogate):
  few = _records(2)
  with pytest.raises(ApproximationError, match=r"compute all pairs"):
    surrogate.rectangles(few, few)
