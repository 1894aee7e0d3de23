# SPDX-License-Identifier: Apache-2.0
"""Pareto fronts: no other sampler has both a lower loss and a lower cost.

After the paper's Figure 4 (Sachdeva et al. 2024, arXiv 2402.09668), with what
a selection costs in accelerator time beside what it keeps of the data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
  """Which points no other one dominates; lower is better in both.

  A point is dominated by another that is at most as large in both coordinates
  and smaller in one; of equal points all are on the front.
  """
  best = np.inf  # of all points with a smaller x
  kept = [False] * len(points)
  order = sorted(range(len(points)), key=lambda index: points[index])
  start = 0
  while start < len(order):
    x, y = points[order[start]]
    end = start
    while end < len(order) and points[order[end]][0] == x:
      # The first of an x is its lowest; others of the same x and y stand by it.
      kept[order[end]] = points[order[end]][1] == y and y < best
      end += 1
    best, start = min(best, y), end
  return kept


def points(
  rows: Sequence[Mapping[str, Any]], x: Sequence[float | int | None]
) -> list[dict[str, Any]]:
  """The points of one figure, by x, with whether each is on the front.

  Args:
    rows: of samplers: {"sampler", "budget", "hq_loss": {"mean"}, "interval"}.
    x: cost of each; a row without a cost or a loss has no point.
  """
  found = [
    {
      "sampler": row["sampler"],
      "budget": row["budget"],
      "x": cost,
      "y": row["hq_loss"]["mean"],
      "interval": row["interval"],
    }
    for row, cost in zip(rows, x, strict=True)
    if cost is not None and np.isfinite([cost, row["hq_loss"]["mean"]]).all()
  ]
  found.sort(key=lambda point: (point["x"], point["y"]))
  on_front = front([(point["x"], point["y"]) for point in found])
  return [
    {**point, "on_front": kept}
    for point, kept in zip(found, on_front, strict=True)
  ]
