# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location against its slow twin, and brute force."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import submodular


def _parts(rows, columns, seed=0):
  rng = np.random.default_rng(seed)
  return {
    "kernel": rng.normal(0.4, 0.4, (rows, columns)).astype(np.float32),
    "floor": rng.uniform(0, 0.4, rows).astype(np.float32),
    "cap": rng.uniform(0.5, 1.0, rows).astype(np.float32),
    "weight": rng.uniform(0, 2, rows).astype(np.float32),
    "modular": rng.uniform(0, 0.3, columns).astype(np.float32),
  }


def _value(parts, members):
  """f by its definition, float64."""
  total = sum(float(parts["modular"][j]) for j in members)
  for i, row in enumerate(parts["kernel"]):
    floor = float(parts["floor"][i])
    seen = [min(float(row[j]), float(parts["cap"][i])) for j in members]
    total += float(parts["weight"][i]) * (max([floor, *seen]) - floor)
  return total


def _naive(parts, count):
  """The candidate of the largest gain, again and again."""
  picks, gains, now = [], [], 0.0
  for _ in range(count):
    left = [j for j in range(parts["kernel"].shape[1]) if j not in picks]
    values = [_value(parts, [*picks, j]) for j in left]
    best = int(np.argmax(values))
    picks.append(left[best])
    gains.append(values[best] - now)
    now = values[best]
  return picks, gains


def _greedy(parts, count):
  problem = submodular.problem(**parts)
  state, picks = submodular.greedy(
    problem, submodular.init(problem), count=count
  )
  return problem, state, picks


@pytest.mark.parametrize(("rows", "columns"), [(50, 30), (33, 40)])
def test_greedy_is_the_naive_greedy(rows, columns):
  parts = _parts(rows, columns)
  _, state, found = _greedy(parts, 20)
  picks, gains = _naive(parts, 20)
  assert np.asarray(found.candidates).tolist() == picks
  np.testing.assert_allclose(found.gains, gains, atol=2e-5, rtol=0)
  assert np.flatnonzero(state.taken).tolist() == sorted(picks)


def test_plain_facility_location_is_the_default():
  kernel = _parts(20, 12)["kernel"]
  parts = {
    **{"kernel": kernel, "floor": np.zeros(20), "cap": np.full(20, np.inf)},
    **{"weight": np.ones(20), "modular": np.zeros(12)},
  }
  problem = submodular.problem(kernel)
  _, found = submodular.greedy(problem, submodular.init(problem), count=6)
  assert np.asarray(found.candidates).tolist() == _naive(parts, 6)[0]


def test_value_and_bound_against_brute_force():
  parts = _parts(12, 8, seed=3)
  problem, state, found = _greedy(parts, 3)
  members = np.isin(np.arange(8), np.asarray(found.candidates))
  got = float(submodular.value(problem, members))
  assert got == pytest.approx(_value(parts, np.flatnonzero(members)), abs=1e-5)
  assert got == pytest.approx(float(found.gains.sum()), abs=1e-5)
  best = max(_value(parts, s) for s in itertools.combinations(range(8), 3))
  assert got >= (1 - 1 / math.e) * best
  bound = got + float(submodular.upper_bound(problem, state, count=3))
  assert best <= bound + 1e-5
  # Worth something: far below what all candidates would add one by one.
  empty = submodular.init(problem)
  assert bound < float(empty.gain.sum())


def test_equal_gains_go_to_the_first_and_a_budget_may_be_all_or_more():
  kernel = np.eye(4, dtype=np.float32)[:, [0, 0, 2, 3]]
  problem = submodular.problem(kernel)
  state, found = submodular.greedy(problem, submodular.init(problem), count=6)
  assert np.asarray(found.candidates).tolist() == [0, 2, 3, 1, -1, -1]
  assert np.asarray(found.gains).tolist() == [1, 1, 1, 0, 0, 0]
  assert bool(jnp.all(state.taken))


def test_picks_go_on_in_another_call():
  parts = _parts(40, 30, seed=5)
  problem, _, whole = _greedy(parts, 12)
  _, state, first = _greedy(parts, 7)
  _, second = submodular.greedy(problem, state, count=5)
  found = np.concatenate([first.candidates, second.candidates])
  assert found.tolist() == np.asarray(whole.candidates).tolist()
