# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location against its slow twin. One shape: one compile."""

import numpy as np

from data_efficient.kernels import submodular

ROWS, COLUMNS, COUNT = 33, 40, 12


def _parts(seed=0):
  rng = np.random.default_rng(seed)
  return {
    "kernel": rng.normal(0.4, 0.4, (ROWS, COLUMNS)).astype(np.float32),
    "floor": rng.uniform(0, 0.4, ROWS).astype(np.float32),
    "cap": rng.uniform(0.5, 1.0, ROWS).astype(np.float32),
    "weight": rng.uniform(0, 2, ROWS).astype(np.float32),
    "modular": rng.uniform(0, 0.3, COLUMNS).astype(np.float32),
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


def _greedy(parts, count=COUNT):
  problem = submodular.problem(**parts)
  state, picks = submodular.greedy(
    problem, submodular.init(problem), count=count
  )
  return problem, state, picks


def test_greedy_is_the_naive_greedy():
  parts = _parts()
  _, state, found = _greedy(parts)
  picks, gains = _naive(parts, COUNT)
  assert np.asarray(found.candidates).tolist() == picks
  np.testing.assert_allclose(found.gains, gains, atol=2e-5, rtol=0)
  assert np.flatnonzero(state.taken).tolist() == sorted(picks)


def _plain(kernel):
  return {
    "kernel": kernel,
    **{"floor": np.zeros(ROWS), "cap": np.full(ROWS, np.inf)},
    **{"weight": np.ones(ROWS), "modular": np.zeros(COLUMNS)},
  }


def test_plain_facility_location_is_the_default():
  kernel = _parts()["kernel"]
  _, _, found = _greedy({"kernel": kernel})
  expected, _ = _naive(_plain(kernel), COUNT)
  assert np.asarray(found.candidates).tolist() == expected


def test_equal_gains_go_to_the_first_and_it_ends_where_nothing_is_added():
  kernel = np.zeros((ROWS, COLUMNS), np.float32)
  kernel[:4, 3:7] = np.eye(4, dtype=np.float32)[:, [0, 0, 2, 3]]
  _, state, found = _greedy({"kernel": kernel})
  assert np.asarray(found.candidates).tolist() == [3, 5, 6] + [-1] * 9
  assert np.asarray(found.gains).tolist() == [1, 1, 1] + [0] * 9
  assert np.flatnonzero(state.taken).tolist() == [3, 5, 6]


def test_picks_go_on_in_another_call():
  parts = _parts(seed=5)
  _, _, whole = _greedy(parts)
  problem, state, first = _greedy(parts, COUNT // 2)
  _, second = submodular.greedy(problem, state, count=COUNT // 2)
  found = np.concatenate([first.candidates, second.candidates])
  assert found.tolist() == np.asarray(whole.candidates).tolist()


def test_what_rounding_leaves_is_no_gain():
  kernel = _parts()["kernel"]
  kernel[:, 7] = -1
  problem = submodular.problem(kernel)
  expected, _ = _naive(_plain(kernel), COUNT)
  # A gain that is not there, larger than all that are.
  state = submodular.init(problem)
  state = state._replace(gain=state.gain.at[7].set(99.0))
  _, found = submodular.greedy(problem, state, count=COUNT)
  assert np.asarray(found.candidates).tolist() == expected
