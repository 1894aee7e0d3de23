# SPDX-License-Identifier: Apache-2.0
"""Set functions against their formulas, maximisers against brute force."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse

from data_efficient.selection import (
  batched,
  certificates,
  covers,
  greedy,
  interface,
  quadratic,
  sparse_covers,
)
from tests.selection import set_functions
from tests.selection.set_functions import COVERS, NAMES

SEVERAL = hypothesis.settings(max_examples=25, deadline=None)


def _function(name, seed=0, count=8):
  objective, kernels, formula = set_functions.made(name, seed, count)
  return objective.function(*kernels), formula


def _filled(function, members):
  for example in members:
    function.add(example)
  return function


@pytest.mark.parametrize("name", NAMES)
@SEVERAL
@hypothesis.given(
  seed=st.integers(0, 999), order=st.permutations(range(8)), data=st.data()
)
def test_gains_are_those_of_the_formula_and_shrink(name, seed, order, data):
  function, formula = _function(name, seed)
  size = data.draw(st.integers(0, 7))
  more = data.draw(st.integers(0, size))
  small, large = order[:more], order[:size]
  at_small = _filled(function.fresh(), small)
  at_large = _filled(function, large)
  assert at_large.value == pytest.approx(formula(large), abs=1e-5)
  gains = at_large.gains()
  for example in order[size:]:
    gain = at_large.gain(example)
    added = formula([*large, example]) - formula(large)
    assert gain == pytest.approx(added, abs=1e-5)
    assert gains[example] == pytest.approx(added, abs=1e-5)
    # Submodular; and monotone.
    assert gain <= at_small.gain(example) + 1e-6
    assert gain >= -1e-6
  assert function.whole() >= formula(list(range(8))) - 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_greedy_against_brute_force_and_its_certificate(name, seed):
  function, formula = _function(name, seed)
  picks = greedy.naive(function, 3)
  best = max(
    formula(list(some)) for some in itertools.combinations(range(8), 3)
  )
  assert function.value == pytest.approx(formula(picks.examples.tolist()))
  assert function.value >= (1 - 1 / math.e) * best - 1e-6
  bound = certificates.upper_bound(function, picks.examples, 3)
  assert best <= bound * (1 + 1e-6)
  # It says something: less than what three would add one by one.
  alone = np.sort(function.fresh().gains())[-3:].sum()
  assert bound <= alone * (1 + 1e-5)


def _maximisers(function):
  found = {"naive": greedy.naive, "lazy": greedy.lazy}
  if isinstance(function, batched.Covers):
    found["batched"] = batched.batched
  return {
    name: maximise(function.fresh(), function.examples)
    for name, maximise in found.items()
  }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [9, 70])
def test_all_maximisers_pick_the_same_in_the_same_order(name, count):
  function, _ = _function(name, 7, count)
  found = _maximisers(function)
  for picks in found.values():
    expected = found["naive"]
    assert picks.examples.tolist() == expected.examples.tolist()
    np.testing.assert_allclose(picks.gains, expected.gains, atol=1e-5)
  assert found["lazy"].evaluations < found["naive"].evaluations


@pytest.mark.parametrize("name", NAMES)
def test_equal_gains_go_to_the_first(name):
  objective, kernels, _ = set_functions.made(name, 3, 8)
  # Every example twice, the copy before or after its original.
  twice = np.array([5, 1, 1, 0, 5, 3, 3, 0])
  kernels = [
    k._replace(
      values=k.values[:, twice]
      if name in COVERS and k.records[1] == "pool"
      else (k.values if name in COVERS else k.values[np.ix_(twice, twice)])
    )
    for k in kernels
  ]
  firsts = {0, 1, 3, 5}
  # Graph cut is modular enough to take both of a pair; the first comes first.
  for picks in _maximisers(objective.function(*kernels)).values():
    order = picks.examples.tolist()
    for first, copy in ((0, 4), (1, 2), (3, 7), (5, 6)):
      assert first in order and first in firsts
      if copy in order:
        assert order.index(first) < order.index(copy)


@pytest.mark.parametrize("name", COVERS)
@pytest.mark.parametrize("even", [True, False])
def test_a_sparse_kernel_is_the_dense_one(name, even, monkeypatch):
  monkeypatch.setattr(sparse_covers, "_BLOCK", 16)
  objective, kernels, _ = set_functions.made(name, 5, 40)
  thin = []
  for kernel in kernels:
    kept = kernel.values > 0.3
    if even:
      # As of nearest neighbours: as many in each row.
      order = np.argsort(-kernel.values, axis=1, kind="stable")
      kept = np.zeros_like(kept)
      np.put_along_axis(kept, order[:, :4], True, axis=1)
    values = np.where(kept, kernel.values, 0).astype(np.float32)
    thin.append(kernel._replace(values=values))
  sparse = [k._replace(values=scipy.sparse.csr_array(k.values)) for k in thin]
  dense_one, sparse_one = objective.function(*thin), objective.function(*sparse)
  assert isinstance(sparse_one, sparse_covers.SparseCover)
  assert (sparse_one._width > 0) == even
  assert dense_one.whole() == pytest.approx(sparse_one.whole())
  for maximise in (greedy.naive, greedy.lazy, batched.batched):
    expected = greedy.naive(dense_one.fresh(), 40)
    found = maximise(sparse_one.fresh(), 40)
    assert found.examples.tolist() == expected.examples.tolist()
    np.testing.assert_allclose(found.gains, expected.gains, atol=1e-6)


def test_weights_and_forms_that_lie_by_columns():
  kernel = set_functions.exact(30, 20, 1)
  weight = np.arange(30, dtype=np.float32)
  repeated = np.repeat(kernel, np.arange(30), axis=0)
  for order in "CF":
    weighted = covers.Cover(np.array(kernel, order=order), weight=weight)
    plain = covers.Cover(np.array(repeated, order=order))
    found, expected = batched.batched(weighted, 9), greedy.naive(plain, 9)
    assert found.examples.tolist() == expected.examples.tolist()
    assert weighted.value == plain.value
    assert weighted.whole() == plain.whole()


def test_bounds_are_lowered_together_and_stay_bounds():
  # Large enough for several threads and for every branch.
  rng = np.random.default_rng(0)
  kernel = rng.random((600, 500), np.float32)
  function = covers.Cover(kernel)
  found = batched.batched(function, 300)
  expected = greedy.lazy(function.fresh(), 300)
  assert found.examples.tolist() == expected.examples.tolist()
  assert found.gains.tolist() == expected.gains.tolist()
  assert found.evaluations < expected.evaluations / 2


def test_stochastic_greedy_is_close_and_repeats_itself():
  function, _ = _function("facility_location", 2, 400)
  best = function.fresh()
  greedy.lazy(best, 40)
  made = [
    greedy.stochastic(function.fresh(), 40, epsilon=0.1, seed=seed)
    for seed in (0, 0, 1)
  ]
  assert made[0].examples.tolist() == made[1].examples.tolist()
  assert made[0].examples.tolist() != made[2].examples.tolist()
  for picks in made:
    assert len(set(picks.examples.tolist())) == 40
    assert picks.gains.sum() >= 0.95 * best.value
    # (n/k) ln(1/ε) a pick, fewer where one is drawn twice.
    assert picks.evaluations <= 24 * 40
  everything = greedy.stochastic(function.fresh(), 400, epsilon=0.5, seed=0)
  assert sorted(everything.examples.tolist()) == list(range(400))
  with pytest.raises(interface.SelectionError, match="epsilon"):
    greedy.stochastic(function.fresh(), 4, epsilon=1.0, seed=0)


def test_nothing_is_picked_that_adds_nothing():
  kernel = np.eye(4, dtype=np.float32)[:, [0, 0, 2, 3]]
  for picks in _maximisers(covers.Cover(kernel)).values():
    assert picks.examples.tolist() == [0, 2, 3]
  assert greedy.lazy(covers.Cover(kernel), 0).examples.tolist() == []


def test_a_function_that_is_not_monotone_goes_on_below_zero():
  kernel = set_functions.psd(8)
  function = quadratic.GraphCut(kernel, penalty=1.0)
  assert not function.monotone
  picks = greedy.lazy(function.fresh(), 8)
  assert len(picks.examples) == 8 and picks.gains.min() < 0
  assert certificates.upper_bound(function, picks.examples, 8) is None
  assert picks.gains.sum() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("values", [1, 2, 50])
def test_many_equal_gains_of_a_sparse_kernel(values):
  # Looking at few of them gives what looking at all does.
  rng = np.random.default_rng(values)
  kernel = scipy.sparse.random_array(
    (300, 600), density=0.01, rng=rng, dtype=np.float32
  ).tocsr()
  kernel.data = np.ceil(kernel.data * values) / values
  kernel = scipy.sparse.csr_array(kernel, dtype=np.float32)
  expected = greedy.lazy(sparse_covers.SparseCover(kernel), 600)
  found = batched.batched(sparse_covers.SparseCover(kernel), 600)
  assert found.examples.tolist() == expected.examples.tolist()
  assert 50 < len(found.examples) < 600
