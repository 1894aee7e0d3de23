# SPDX-License-Identifier: Apache-2.0
"""The network against sums by hand, and what it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.scorers import influence_network
from data_efficient.scorers.approximations import ApproximationError
from tests.scorers.embedded import (
  COLUMNS,
  EXAMPLES,
  ROWS,
  TARGETS,
  Embedder,
  computed,
  records,
  whole,
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
  known = computed([rectangle], values)
  return surrogate, rectangle, values, surrogate.fit(known, TARGETS, EXAMPLES)


def test_a_network_predicts_what_it_was_not_shown(learnt):
  _, rectangle, values, trained = learnt
  found = whole(trained)
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
  np.testing.assert_allclose(whole(trained), slow, atol=1e-5)


def test_the_size_of_the_first_layer_s_beginning():
  network = influence_network.Network(4000)
  wide = jnp.ones((1, 50))
  weights = network.init(jax.random.key(0), wide, wide)["params"]
  for side in ("target", "example"):
    assert np.var(weights[side]["kernel"]) == pytest.approx(1 / 100, rel=0.05)


def test_the_same_seed_learns_the_same(learnt):
  surrogate, rectangle, values, trained = learnt
  known = computed([rectangle], values)
  again = surrogate.fit(known, TARGETS, EXAMPLES)
  np.testing.assert_array_equal(whole(again), whole(trained))
  other = dataclasses.replace(surrogate, seed=1)
  (drawn,) = other.rectangles(TARGETS, EXAMPLES)
  assert drawn.targets.tolist() != rectangle.targets.tolist()


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"fraction": 1.0}, "between 0 and 1"),
    ({"hidden": 0}, "numbers from 1"),
  ],
)
def test_settings_that_cannot_be(change, said):
  with pytest.raises(ApproximationError, match=said):
    _network(**change)


def test_too_few_records():
  few = records(2)
  with pytest.raises(ApproximationError, match="compute all pairs"):
    _network().rectangles(few, few)
