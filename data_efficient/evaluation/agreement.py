# SPDX-License-Identifier: Apache-2.0
"""How alike several scorers rank the same records.

The paper compares its scorers in this way (Sachdeva et al. 2024, arXiv
2402.09668, Figure 7: Kendall's τ of 500,000 records).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Scores = Mapping[str, np.ndarray]

# More records than this and a sample of them is compared.
MATRIX_RECORDS = 20_000


def compare(scores: Scores, fractions: Sequence[float]) -> dict[str, Any]:
  """Every pair of scorers.

  Args:
    scores: name to float [n], of the same records in the same order; NaN where
      there is no score. A record counts where all of them have one.
    fractions: sizes of top sets to compare, each in (0, 1).

  Returns:
    {"records": how many count, "pairs": [{"first", "second", "kendall": τ-b
    in [-1, 1], "overlap": {fraction: share of the top sets in common}}]}.

  Raises:
    ValueError: fewer than two scorers or records, or a fraction out of range.
  """
  wrong = [fraction for fraction in fractions if not 0 < fraction < 1]
  if len(scores) < 2 or wrong:
    raise ValueError(
      f"{len(scores)} scorers, fractions {tuple(fractions)}: expected at least "
      "two, and fractions between 0 and 1"
    )
  kept = _common(scores)
  return {
    "records": len(next(iter(kept.values()))),
    "pairs": [
      {
        "first": first,
        "second": second,
        "kendall": _kendall(kept[first], kept[second]),
        "overlap": {
          str(fraction): _overlap(kept[first], kept[second], fraction)
          for fraction in fractions
        },
      }
      for first, second in itertools.combinations(kept, 2)
    ],
  }


def matrix(
  scores: Scores, *, limit: int = MATRIX_RECORDS, seed: int = 0
) -> dict[str, Any]:
  """Kendall's τ-b of every pair of scorers, as the paper's Figure 7 has them.

  Args:
    scores: name to float [n], of the same records in the same order; NaN where
      there is no score. A pair is compared where both have one.
    limit: of more records than this, so many are drawn without replacement.
    seed: of the drawing.

  Returns:
    {"names", "tau": rows in the order of the names, null where a score is
    constant or fewer than two records have both, "records": how many were
    looked at, "of": how many there are}.
  """
  values = {name: np.asarray(v, np.float64) for name, v in scores.items()}
  total = kept = len(next(iter(values.values()), ()))
  if total > limit:
    kept = limit
    drawn = np.random.default_rng(seed).choice(total, limit, replace=False)
    values = {name: each[drawn] for name, each in values.items()}
  names = list(values)
  tau: list[list[float | None]] = [[None] * len(names) for _ in names]
  for i, j in itertools.combinations_with_replacement(range(len(names)), 2):
    tau[i][j] = tau[j][i] = _tau(values[names[i]], values[names[j]])
  return {"names": names, "tau": tau, "records": kept, "of": total}


def _tau(first: np.ndarray, second: np.ndarray) -> float | None:
  both = ~(np.isnan(first) | np.isnan(second))
  if both.sum() < 2:
    return None
  pair = compare({"first": first[both], "second": second[both]}, ())["pairs"]
  return pair[0]["kendall"]


def _common(scores: Scores) -> dict[str, np.ndarray]:
  matrix = np.stack([np.asarray(v, np.float64) for v in scores.values()])
  matrix = matrix[:, ~np.isnan(matrix).any(axis=0)]
  if matrix.shape[1] < 2:
    raise ValueError(
      f"{matrix.shape[1]} records have a score by each of {', '.join(scores)}: "
      "expected at least 2; score the same splits with all of them"
    )
  return dict(zip(scores, matrix, strict=True))


def _kendall(first: np.ndarray, second: np.ndarray) -> float | None:
  from scipy import stats

  found = stats.kendalltau(first, second).statistic
  return None if np.isnan(found) else float(found)  # one is constant


def _overlap(first: np.ndarray, second: np.ndarray, fraction: float) -> float:
  """Ties go to the earlier record, as in a selection."""
  count = max(1, round(fraction * len(first)))
  tops = [
    set(np.argsort(-values, kind="stable")[:count].tolist())
    for values in (first, second)
  ]
  return len(tops[0] & tops[1]) / count
