# SPDX-License-Identifier: Apache-2.0
"""Quality and coverage in one draw: good records, and not all of one kind.

  w ∝ exp(q/τ) / S

with q the quality (Ask-LLM's log P(yes), or any log-probability or log-odds)
and S the density. Theorem A.2 of arXiv 2402.09668 makes a sample with weights
1/S uniform over the support; here it has density ∝ exp(q/τ) over the support:
of two neighbourhoods the better one is kept oftener, however many copies the
other has. A large τ is Density, a small one is the top of the quality. The
paper names the combination as future work.
"""

import dataclasses

import numpy as np

from data_efficient.selection import drawing, interface, inverse_propensity


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityCoverage(drawing.Drawing):
  """Keeps a sample with weights exp(score/τ)/density.

  Attributes:
    temperature: τ, in units of the quality scores; positive.
    name: the name of the selector in tables.
  """

  temperature: float | int
  name: str = "quality_coverage"

  def __post_init__(self):
    """Refuses a temperature that no weights have, with SelectionError."""
    if not 0 < self.temperature < np.inf:
      raise interface.SelectionError(
        f"the temperature must be positive and finite, got {self.temperature}; "
        "for the top of the quality use Top, for coverage alone "
        "InversePropensity"
      )

  @property
  def settings(self) -> dict:
    """What its weights depend on."""
    return {"temperature": self.temperature}

  def parts(self, shard: interface.Shard) -> dict[str, np.ndarray]:
    """The two terms of the log weight; their spreads are the mix.

    Raises:
      SelectionError: one of the two score sets is not there, a quality that is
        infinite, or a density that is not positive and finite.
    """
    if shard.others is None:
      raise interface.SelectionError(
        "this selector reads two score sets: the quality (SCORES) and the "
        "density (DENSITY_SCORES); name both"
      )
    quality = interface.checked(shard).astype(np.float64, copy=False)
    wrong = np.flatnonzero(np.isinf(quality))
    if wrong.size:
      raise interface.SelectionError(
        f"shard {shard.name!r}, position {shard.start + wrong[0]}: quality "
        f"{quality[wrong[0]]}; weights need finite scores"
      )
    interface.check_length(shard.others, shard=shard, what="densities")
    density = inverse_propensity.densities(shard, shard.others)
    return {
      "quality": quality / self.temperature,
      "coverage": -np.log(density.astype(np.float64, copy=False)),
    }

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """q/τ − log S of each record; NaN where either is.

    Raises:
      SelectionError: as `parts`.
    """
    found = self.parts(shard)
    return found["quality"] + found["coverage"]
