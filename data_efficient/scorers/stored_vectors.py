# SPDX-License-Identifier: Apache-2.0
"""Vectors as embedding sets hold them: finite, in float32 or float16.

float16 is half the bytes, and 0.05% off in each number: at unit norm cosines
move by less than 1e-3. Numbers beyond 65,504 have no float16.
"""

from collections.abc import Sequence

import numpy as np

from data_efficient.scorers import interface

TYPES = ("float32", "float16")


def check_type(name: str) -> None:
  """Raises ValueError for a type that no embedding set has."""
  if name not in TYPES:
    raise ValueError(f"vector_type = {name!r}: expected one of {TYPES}")


def scores(
  vectors: np.ndarray,
  statuses: Sequence[str],
  *,
  norms: np.ndarray,
  vector_type: str,
) -> interface.Scores:
  """Columns "embedding" [n, d] of the type, and "score", float32 [n].

  A scored record whose vector is not finite in that type is unscorable.

  Args:
    vectors: float32 [n, d].
    statuses: of each record.
    norms: what "score" says.
    vector_type: "float32" or "float16".
  """
  with np.errstate(over="ignore"):
    stored = vectors.astype(vector_type)
  finite = np.isfinite(stored).all(axis=1)
  statuses = [
    interface.unscorable(f"vector is not finite in {vector_type}")
    if status == interface.SCORED and not finite[row]
    else status
    for row, status in enumerate(statuses)
  ]
  columns = {"score": norms.astype(np.float32), "embedding": stored}
  return interface.Scores(statuses, columns)
