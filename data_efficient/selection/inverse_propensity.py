# SPDX-License-Identifier: Apache-2.0
"""Sampling against density: rare records are kept more often than common ones.

Draws without replacement with probability ∝ 1/S(x), S the estimated density
(arXiv 2402.09668, Sec. 3.3, Theorem A.2: the sample tends to a uniform one
over the support). The S/ΣS that the paper's Algorithm 2 prints would do the
opposite and is a misprint.
"""

import dataclasses

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
    self, shard: interface.Shard, *, seed: int
  ) -> interface.Priorities:
    """log(1/S) + Gumbel of each record; NaN where S is NaN.

    Raises:
      SelectionError: no scores, or a score that is not positive and finite.
    """
    return random.add_keys(self.log_weights(shard), shard.name, seed=seed)

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """−log S of each record; NaN where S is NaN."""
    densities = interface.checked(shard)
    try:
      return sampling.inverse_propensity_log_weights(densities)
    except ValueError as error:
      raise interface.SelectionError(
        f"shard {shard.name!r}: {error}; this selector reads the scores of "
        "Density, log-probabilities want Top"
      ) from error
