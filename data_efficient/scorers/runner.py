# SPDX-License-Identifier: Apache-2.0
"""One part of records through a scorer: only the requested ones are asked."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from data_efficient.scorers import interface


def score_part(
  scorer: interface.Scorer,
  batch: Sequence[str] | np.ndarray,
  requested: Bool[np.ndarray, " n"],
) -> interface.Scores:
  """Scores of n records; those that are not requested are not looked at.

  Args:
    scorer: a prepared scorer.
    batch: n texts, or vectors [n, d].
    requested: which of them are to be scored.
  """
  rows = np.flatnonzero(requested)
  if isinstance(batch, np.ndarray):
    asked = batch[rows]
  else:
    asked = [batch[row] for row in rows]
  scores = scorer.score(asked)
  statuses = [interface.NOT_REQUESTED] * len(batch)
  for row, status in zip(rows, scores.statuses, strict=True):
    statuses[row] = status
  columns = {
    name: _spread(values, rows, len(batch))
    for name, values in scores.columns.items()
  }
  return interface.Scores(statuses, columns)


def _spread(values: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
  spread = np.zeros((count, *values.shape[1:]), values.dtype)
  spread[rows] = values
  return spread
