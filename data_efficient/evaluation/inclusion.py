# SPDX-License-Identifier: Apache-2.0
"""Which kinds of text a selection kept: said often, said once, rare."""

import numpy as np
from jaxtyping import Bool, Float, UInt64

from data_efficient.evaluation.runs import EvaluationError

_RARE = 0.1


def inclusion(
  kept: Bool[np.ndarray, " n"],
  *,
  fingerprints: UInt64[np.ndarray, " n"],
  densities: Float[np.ndarray, " n"] | None,
) -> dict[str, float | None]:
  """Shares of the duplicated, unique and rare records that were kept.

    share(kind) = |kept ∩ kind| / |kind|

  Duplicated: the fingerprint occurs more than once. Unique: it occurs once.
  Rare: the tenth of the scored records with the lowest density.

  Args:
    kept: whether each record of the pool was kept.
    fingerprints: of the records' text, in the same order.
    densities: density scores in the same order, NaN where there is none; None
      if density was not scored.

  Returns:
    {"duplicated", "unique", "rare"}, each in [0, 1]; None where there is no
    record of the kind.

  Raises:
    EvaluationError: the arrays have different lengths.
  """
  lengths = {len(kept), len(fingerprints)}
  lengths |= set() if densities is None else {len(densities)}
  if len(lengths) > 1:
    raise EvaluationError(
      f"inclusion of {len(kept)} records, but {len(fingerprints)} fingerprints"
      f" and {'no' if densities is None else len(densities)} densities: pass "
      "those of the same pool, in the same order"
    )
  _, place, counts = np.unique(
    fingerprints, return_inverse=True, return_counts=True
  )
  often = counts[place] > 1
  rare = np.zeros(len(kept), bool) if densities is None else _rarest(densities)
  return {
    "duplicated": _share(kept, often),
    "unique": _share(kept, ~often),
    "rare": _share(kept, rare),
  }


def _rarest(densities: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
  scored = np.flatnonzero(np.isfinite(densities))
  count = int(np.ceil(_RARE * len(scored)))
  chosen = np.zeros(len(densities), bool)
  # A stable sort: ties go by position, the same on every machine.
  chosen[scored[np.argsort(densities[scored], kind="stable")[:count]]] = True
  return chosen


def _share(
  kept: Bool[np.ndarray, " n"], kind: Bool[np.ndarray, " n"]
) -> float | None:
  return float(kept[kind].mean()) if kind.any() else None
