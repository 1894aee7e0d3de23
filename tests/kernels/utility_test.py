# SPDX-License-Identifier: Apache-2.0
"""Distances and utilities: worked by hand, and against a loop in float64."""

import math

import numpy as np
import pytest

from data_efficient.kernels import utility

EUCLIDEAN, MEAN, SUM = utility.Distance


def test_a_model_of_two_tokens_worked_by_hand():
  # Two answers; the first token of the second one has probability 1/4, and so
  # on. An example makes the first answer certain and the second less likely.
  alone = np.log([[0.5, 0.5], [0.25, 0.75]])
  with_example = np.log([[1.0, 1.0], [0.25, 0.25]])
  mask = np.array([[True, True], [True, True]])
  expected = {
    EUCLIDEAN: (
      [0.5, math.sqrt((0.5625 + 0.0625) / 2)],
      [0.0, 0.75],
    ),
    MEAN: ([math.log(2), math.log(16 / 3) / 2], [0.0, math.log(4)]),
    SUM: ([math.log(4), math.log(16 / 3)], [0.0, math.log(16)]),
  }
  for distance, (before, after) in expected.items():
    found = utility.distances(alone, mask, distance=distance)
    np.testing.assert_allclose(found, before, atol=1e-6)
    given_one = utility.distances(with_example, mask, distance=distance)
    np.testing.assert_allclose(given_one, after, atol=1e-6)
    worth = utility.utilities(found, np.asarray(given_one)[:, None])
    assert worth.shape == (2, 1) and worth[0, 0] > 0 > worth[1, 0]
    np.testing.assert_allclose(worth[:, 0], np.subtract(before, after), 1e-5)


def _slowly(row, mask, distance):
  kept = [math.exp(value) for value, one in zip(row, mask, strict=True) if one]
  if not kept:
    return math.nan
  if distance == EUCLIDEAN:
    return math.sqrt(sum((1 - p) ** 2 for p in kept) / len(kept))
  total = -sum(math.log(p) for p in kept)
  return total if distance == SUM else total / len(kept)


@pytest.mark.parametrize("distance", utility.Distance)
@pytest.mark.parametrize("seed", range(8))
def test_distances_are_those_of_a_loop(seed, distance):
  rng = np.random.default_rng(seed)
  values = -rng.exponential(2.0, (3, 5))
  values[rng.random((3, 5)) < 0.2] = 0.0  # certain tokens
  mask = rng.random((3, 5)) < 0.6
  spoilt = np.where(mask, values, np.nan)
  found = utility.distances(spoilt, mask, distance=distance)
  slow = [_slowly(*pair, distance) for pair in zip(values, mask, strict=True)]
  np.testing.assert_allclose(found, slow, rtol=1e-5, atol=1e-6)


def test_an_answer_without_tokens_has_no_distance():
  for distance in utility.Distance:
    found = utility.distances(
      np.zeros((1, 2)), np.zeros((1, 2), bool), distance=distance
    )
    assert np.isnan(found).all()


def test_nan_under_a_mask_stays_nan():
  for distance in utility.Distance:
    found = utility.distances(
      np.array([[np.nan, -1.0]]), np.ones((1, 2), bool), distance=distance
    )
    assert np.isnan(found).all()


def test_a_nearly_certain_token_keeps_its_digits():
  found = utility.distances(
    np.array([[-1e-9]]), np.ones((1, 1), bool), distance=EUCLIDEAN
  )
  assert float(found[0]) == pytest.approx(1e-9, rel=1e-5)


def test_mutual_information_is_the_sum_of_the_tokens():
  rng = np.random.default_rng(0)
  alone, given_one = -rng.exponential(1.0, (2, 4, 6))
  mask = np.arange(6) < rng.integers(1, 7, (4, 1))

  def worth(before, after, counted):
    found = (
      utility.distances(values, counted, distance=SUM)
      for values in (before, after)
    )
    return np.subtract(*map(np.asarray, found))

  by_token = sum(
    np.nan_to_num(
      worth(alone[:, [t]], given_one[:, [t]], mask[:, [t]]), nan=0.0
    )
    for t in range(6)
  )
  np.testing.assert_allclose(worth(alone, given_one, mask), by_token, atol=1e-5)
