# SPDX-License-Identifier: Apache-2.0
"""Sampling against density: rare records are kept more often than common ones.

Draws without replacement with probability ∝ 1/S(x), S the estimated density
(arXiv 2402.09668, Sec. 3.3, Theorem A.2: the sample tends to a uniform one
over the support). The S/ΣS that the paper's Algorithm 2 prints would do the
opposite and is a misprint.
"""

import dataclasses
import math

import numpy as np

from data_efficient.kernels import sampling
from data_efficient.selection import drawing, interface

# Beyond e^±300 a product with 1/S could leave float64.
_LARGEST_UNIT = 300.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class InversePropensity(drawing.Drawing):
  """Keeps a sample with weights 1/score.

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "inverse_propensity"

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """−log S of each record; NaN where S is NaN.

    Raises:
      SelectionError: no scores, or a score that is not positive and finite.
    """
    return sampling.inverse_propensity_log_weights(
      densities(shard, interface.checked(shard))
    )

  def weights(
    self, shard: interface.Shard, *, unit: float
  ) -> interface.Priorities:
    """exp(−unit)/S: a division in place of a logarithm and its inverse."""
    if abs(unit) > _LARGEST_UNIT:
      return super().weights(shard, unit=unit)
    found = densities(shard, interface.checked(shard))
    with np.errstate(over="ignore"):
      return math.exp(-unit) / found.astype(np.float64, copy=False)

  def weight_summary(self, shard: interface.Shard) -> sampling.WeightSummary:
    """How uneven the weights are, by as many divisions."""
    found = densities(shard, interface.checked(shard))
    there = found[~np.isnan(found)].astype(np.float64, copy=False)
    return sampling.summarise_inverses(there)


def densities(shard: interface.Shard, scores: np.ndarray) -> np.ndarray:
  """Returns the scores of some records, each a density or NaN.

  Raises:
    SelectionError: one that is not positive and finite, with its position.
  """
  wrong = np.flatnonzero((scores <= 0) | np.isinf(scores))
  if wrong.size:
    raise interface.SelectionError(
      f"shard {shard.name!r}, position {shard.start + wrong[0]}: density "
      f"{scores[wrong[0]]}; inverse propensity needs positive, finite "
      "densities: it reads the scores of Density, log-probabilities want Top"
    )
  return scores
