# SPDX-License-Identifier: Apache-2.0
"""Fronts against every pair of points."""

import numpy as np
import pytest

from data_efficient.evaluation import pareto


def _dominated(point, others):
  return any(
    x <= point[0] and y <= point[1] and (x < point[0] or y < point[1])
    for x, y in others
  )


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_no_pair_rules_out(seed):
  generator = np.random.default_rng(seed)
  # Few values, so that coordinates and points are equal now and then.
  points = [tuple(p) for p in generator.integers(0, 6, (12, 2)).tolist()]
  points = [(float(x), float(y)) for x, y in points]
  expected = [not _dominated(point, points) for point in points]
  assert pareto.front(points) == expected


def test_no_points():
  assert pareto.front([]) == []


def test_points_are_by_cost_and_those_without_one_are_left():
  rows = [
    {"sampler": s, "budget": 0.4, "hq_loss": {"mean": y}, "interval": None}
    for s, y in (("a", 5.0), ("b", 6.0), ("c", 4.0), ("d", float("nan")))
  ]
  found = pareto.points(rows, [20.0, 10.0, None, 1.0])
  assert [(p["sampler"], p["x"], p["on_front"]) for p in found] == [
    ("b", 10.0, True), ("a", 20.0, True)
  ]  # fmt: skip
