# SPDX-License-Identifier: Apache-2.0
"""Resampling by importance: scores that are logarithms of weights.

DSIR draws without replacement with probability ∝ exp(score), the score being
log p(target)/p(raw) (Xie et al. 2023, arXiv 2302.03169, Section 3).
"""

import dataclasses

import numpy as np

from data_efficient.selection import drawing, interface


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampling(drawing.Drawing):
  """Keeps a sample with weights exp(score).

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "resampling"

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """The scores, float64; NaN where there is none.

    Raises:
      SelectionError: no scores, or an infinite one.
    """
    scores = interface.checked(shard).astype(np.float64, copy=False)
    wrong = np.flatnonzero(np.isinf(scores))
    if wrong.size:
      raise interface.SelectionError(
        f"shard {shard.name!r}, position {shard.start + wrong[0]}: score "
        f"{scores[wrong[0]]}; logarithms of weights must be finite"
      )
    return scores
