# SPDX-License-Identifier: Apache-2.0
"""What is kept under numbers, costs and groups, and what is said of it."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse

from data_efficient.selection import cover, limits, objectives
from data_efficient.selection.interface import SelectionError
from tests.selection import set_functions
from tests.selection.set_functions import NAMES, kernel


def _cover(objective, maximiser="batched", **settings):
  settings = {"tail": "alone", **settings}
  return cover.Cover(objective=objective, maximiser=maximiser, **settings)


def _chosen(name, count, **more):
  objective, kernels, formula = set_functions.made(name, 4)
  found = _cover(objective).choose(*kernels, count=count, seed=0, **more)
  return found, formula


@pytest.mark.parametrize("name", NAMES)
def test_any_number_from_none_to_all(name):
  whole, formula = _chosen(name, 8)
  assert sorted(whole.examples.tolist()) == list(range(8))
  assert whole.facts["value"] == pytest.approx(formula(list(range(8))))
  assert whole.facts["certificate"] == pytest.approx(1, abs=1e-5)
  for count in range(8):
    part, _ = _chosen(name, count)
    # A smaller set is the beginning of a larger one.
    assert part.examples.tolist() == whole.examples[:count].tolist()
    assert 1 >= part.facts["certificate"] >= 1 - 1 / math.e - 1e-5
  assert _chosen(name, 0)[0].facts["value"] == 0
  for count in (-1, 9):
    with pytest.raises(SelectionError, match="from 0 to 8"):
      _chosen(name, count)


def test_picks_without_gain_are_counted_and_come_in_a_declared_order():
  values = np.array([[9, 3, 0, 5], [8, 0, 1, 4]], np.float32)
  for tail, order in (("alone", [0, 3, 1, 2]), ("position", [0, 1, 2, 3])):
    made = _cover(objectives.FacilityLocation(), tail=tail).choose(
      kernel(values, "queries"), count=4, seed=0
    )
    assert made.examples.tolist() == order
    assert made.gains.tolist() == [17, 0, 0, 0]
    assert made.facts["without_gain"] == 3
    assert made.facts["curve"]["value"] == [0, 17, 17, 17, 17]
    assert made.facts["tail"] == tail


def test_fl1mi_is_saturated_long_before_its_budget():
  rng = np.random.default_rng(0)
  pool = kernel(rng.random((40, 40), np.float32))
  queries = kernel(rng.random((40, 3), np.float32) / 2, "pool", "queries")
  made = _cover(objectives.FL1MI(eta=1.0)).choose(
    pool, queries, count=30, seed=0
  )
  assert 15 < made.facts["without_gain"] < 30
  assert made.facts["certificate"] == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_groups_against_brute_force(name):
  codes = np.array([0, 0, 1, 1, 1, 2, 2, 2])
  groups = limits.Groups(codes, least=[0, 2, 1], most=[1, 2, 3], count=4)
  free, _ = _chosen(name, 4)
  made, formula = _chosen(name, 4, groups=groups)

  def fits(some):
    found = np.bincount(codes[list(some)], minlength=3)
    return found[0] <= 1 and found[1] == 2 and found[2] >= 1

  assert fits(made.examples)
  fitting = filter(fits, itertools.combinations(range(8), 4))
  best = max(formula(list(some)) for some in fitting)
  value = made.facts["value"]
  assert best / 2 - 1e-6 <= value <= best + 1e-6
  assert made.facts["upper_bound"] >= best - 1e-5
  without = made.facts["without_groups"]
  assert without["value"] == pytest.approx(free.facts["value"])
  assert without["cost"] == pytest.approx(1 - value / without["value"])


@pytest.mark.parametrize(
  ("bounds", "message"),
  [
    (dict(least=[0, 0, 0], most=[9, 9, 9]), "group 2 has no members"),
    (dict(least=[3, 0], most=[9, 9]), "group 0: at least 3.*of its 2"),
    (dict(least=[2, 0], most=[1, 9]), "at least 2 and at most 1"),
    (dict(least=[2, 3], most=[2, 3]), "have at least 5 together"),
    (dict(least=[0, 0], most=[1, 1]), "at most 2 together"),
  ],
)
def test_groups_that_no_set_satisfies(bounds, message):
  with pytest.raises(SelectionError, match=message):
    limits.Groups(np.array([0, 0, 1, 1, 1]), count=4, **bounds)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_a_purse_against_brute_force(name, seed):
  objective, kernels, formula = set_functions.made(name, seed)
  costs = np.random.default_rng(seed).integers(1, 9, 8)
  budget = 14
  purse = limits.Purse(costs, budget)
  made = _cover(objective, "lazy").buy(*kernels, purse=purse)
  spent = costs[made.examples].sum()
  assert spent == made.facts["spent"] <= budget
  affordable = (
    list(some)
    for size in range(9)
    for some in itertools.combinations(range(8), size)
    if costs[list(some)].sum() <= budget
  )
  best = max(map(formula, affordable))
  assert made.facts["value"] == pytest.approx(formula(made.examples.tolist()))
  assert made.facts["value"] >= made.facts["guarantee"] * best
  assert made.facts["upper_bound"] >= best - 1e-5
  # What is left buys nothing more.
  left = np.setdiff1d(np.arange(8), made.examples)
  assert not left.size or costs[left].min() > budget - spent


def test_the_better_of_two_rules_is_taken():
  # One dear example is worth far more than the cheap one with the better rate.
  dear = _bought(np.diag([1.0, 50.0]), [1, 100], 100)
  assert dear.examples.tolist() == [1] and dear.facts["rule"] == "gain"
  cheap = _bought(np.diag([2.0, 2.0, 3.0]), [1, 1, 2], 2)
  assert cheap.examples.tolist() == [0, 1]
  assert cheap.facts["rule"] == "gain_per_cost"


def _bought(values, costs, budget):
  purse = limits.Purse(np.array(costs), budget)
  return _cover(objectives.FacilityLocation()).buy(kernel(values), purse=purse)


def test_purses_that_buy_nothing():
  for costs, budget, message in (
    ([1, 0], 5, "example 1 costs 0"),
    ([4, 5], 3, "the cheapest costs 4"),
    ([4, 5], -1, "budget of -1"),
  ):
    with pytest.raises(SelectionError, match=message):
      limits.Purse(np.array(costs), budget)
  with pytest.raises(SelectionError, match="1 costs for 2 examples"):
    _bought(np.eye(2), [1], 3)


def test_the_stochastic_maximiser_and_words_that_are_not_there():
  objective, kernels, _ = set_functions.made("facility_location", 4)
  some = _cover(objective, "stochastic", epsilon=0.2)
  made = some.choose(*kernels, count=3, seed=0)
  assert len(made.examples) == 3
  assert some.settings["epsilon"] == 0.2
  assert "maximiser" not in _cover(objective, "lazy").settings
  with pytest.raises(SelectionError, match="spent by the lazy"):
    some.buy(*kernels, purse=limits.Purse(np.ones(8, int), 4))
  for wrong in ({"maximiser": "best"}, {"tail": "none"}, {"epsilon": 0.1}):
    with pytest.raises(SelectionError, match="expected one of|epsilon is of"):
      _cover(objective, **wrong)


@pytest.mark.parametrize("maximiser", ["naive", "lazy", "batched"])
def test_a_pool_of_one(maximiser):
  for values in (np.ones((1, 1)), scipy.sparse.csr_array(np.ones((1, 1)))):
    made = _cover(objectives.FacilityLocation(), maximiser).choose(
      kernel(values), count=1, seed=0
    )
    assert made.examples.tolist() == [0]
    assert made.facts["value"] == made.facts["certificate"] == 1.0
