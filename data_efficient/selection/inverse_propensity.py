# SPDX-License-Identifier: Apache-2.0
"""Sampling against density: rare records are kept more often than common ones.

Draws without replacement with probability ∝ 1/S(x), S the estimated density
(arXiv 2402.09668, Sec. 3.3, Theorem A.2: the sample tends to a uniform one
over the support). The S/ΣS that the paper's Algorithm 2 prints would do the
opposite and is a misprint.
"""

import dataclasses

import numpy as np

from data_efficient.kernels import sampling
from data_efficient.selection import interface, random


@dataclasses.dataclass(frozen=True, kw_only=True)
class InversePropensity:
  """Keeps a sample with weights 1/score.

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "inverse_propensity"

  def priorities(
    self,
    scores: interface.GivenByShard | None,
    *,
    shards: dict[str, int],
    seed: int,
  ) -> interface.ByShard:
    """log(1/S) + Gumbel of each record; NaN where S is NaN.

    Raises:
      SelectionError: no scores, or a score that is not positive and finite.
    """
    return random.add_keys(self.log_weights(scores, shards=shards), seed=seed)

  def log_weights(
    self, scores: interface.GivenByShard | None, *, shards: dict[str, int]
  ) -> interface.ByShard:
    """−log S of each record; NaN where S is NaN."""
    given = interface.checked(scores, shards=shards)
    return {
      shard: _log_weights(shard, values) for shard, values in given.items()
    }


def _log_weights(shard: str, values: np.ndarray) -> np.ndarray:
  try:
    return sampling.inverse_propensity_log_weights(values)
  except ValueError as error:
    raise interface.SelectionError(
      f"shard {shard!r}: {error}; this selector reads the scores of Density, "
      "log-probabilities want Top"
    ) from error
