# SPDX-License-Identifier: Apache-2.0
"""The width of a cell that makes the sampling weights as uneven as asked."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from data_efficient.kernels import sampling
from data_efficient.scorers import hash_families
from data_efficient.scorers.bandwidth import (
  BandwidthError,
  Distances,
  Sample,
  median_distance,
)

NARROWEST = 2.0**-20  # in medians; fp32 cannot tell narrower cells apart
COARSE_STEP = 2.0**-0.5
BISECTIONS = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetEffectiveSampleSize:
  """The widest cell whose weights 1/S are as uneven as asked.

  (Σw)²/Σw² is near n for wide cells, where all densities are alike. It falls
  as cells narrow, and can rise again once every vector is alone in its cell:
  the search goes from wide to narrow and stops at the first crossing.

  Attributes:
    share: effective sample size over n, in (0, 1).
    sample_size: vectors whose exact kernel sums stand for the pool's.
  """

  share: float
  sample_size: int

  def __post_init__(self):
    """Refuses a share outside (0, 1), with BandwidthError."""
    if not 0 < self.share < 1:
      raise BandwidthError(
        "the share of effective samples must be between 0 and 1, got "
        f"{self.share}"
      )

  def identity(self) -> dict:
    """The rule and its numbers."""
    return {
      "rule": "target_effective_sample_size",
      "share": self.share,
      "sample_size": self.sample_size,
    }

  def width(
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """The width by bisection, on a logarithmic scale.

    Raises:
      BandwidthError: no width makes the weights that uneven.
    """
    distances = family.distances(vectors)
    median = median_distance(distances)
    measure = functools.partial(
      effective_share, distances, records=records, family=family
    )
    wide = family.widest(median)
    best = (1.0, wide)
    while wide > median * NARROWEST:
      narrow = wide * COARSE_STEP
      share = measure(width=narrow)
      if share <= self.share:
        return self._bisect(measure, narrow, wide)
      best = min(best, (share, narrow))
      wide = narrow
    raise BandwidthError(
      f"no width brings the effective sample size to {self.share} of n: the "
      f"least is {best[0]:.3f}, at width {best[1]:.4g}; ask for a larger "
      "share, or for more hashes a row"
    )

  def _bisect(
    self, measure: Callable[..., float], narrow: float, wide: float
  ) -> float:
    for _ in range(BISECTIONS):
      middle = float(np.sqrt(narrow * wide))
      if measure(width=middle) <= self.share:
        narrow = middle
      else:
        wide = middle
    return narrow


def effective_share(
  distances: Distances,
  *,
  width: float,
  records: int,
  family: hash_families.HashFamily,
) -> float:
  """Returns (Σw)²/(n·Σw²) of weights 1/S from the sample's exact kernel.

  S(y) = 1/N + (1 − 1/N) · mean of k over the other vectors of the sample: in
  a pool of N records a record's own kernel value weighs 1/N, not 1/m.
  """
  values = family.kernel(distances, width=width)
  np.fill_diagonal(values, 0.0)
  others = values.sum(axis=1) / (len(values) - 1)
  densities = 1 / records + (1 - 1 / records) * others
  summary = sampling.summarise_log_weights(
    sampling.inverse_propensity_log_weights(densities)
  )
  return summary.effective_sample_size / summary.records
