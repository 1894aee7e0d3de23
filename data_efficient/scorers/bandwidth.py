# SPDX-License-Identifier: Apache-2.0
"""How wide a cell of the density sketch is: four rules.

The paper says neither its bandwidth nor how it was chosen, and its own
histogram shows densities so even that the weights 1/S differ by at most 1.17:
nearly uniform sampling. The rule is therefore a choice to make.

Two widths can make the weights equally uneven and mean opposite things. A cell
as wide as a neighbourhood sees how crowded it is; a cell of about the median
distance sees how far a record is from the centre of the corpus, and calls
whatever the corpus is about "crowded". `NeighbourDistance` takes the first.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from data_efficient.kernels import hashing, kernel_density, sampling

Sample = Float[np.ndarray, "m d"]
Distances = Float[np.ndarray, "m m"]

WIDEST = 64.0  # in median distances: all weights within a percent
NARROWEST = 2.0**-20  # fp32 cannot tell cells below this from each other
COARSE_STEP = 2.0**-0.5
BISECTIONS = 24


class BandwidthError(ValueError):
  """A width that cannot be had from the vectors, and what to change."""


@runtime_checkable
class BandwidthRule(Protocol):
  """From a sample of the vectors to the width of a cell."""

  sample_size: int

  def identity(self) -> dict:
    """The rule and its numbers, JSON-able."""

  def width(
    self, vectors: Sample, *, records: int, hashes_per_row: int = 1
  ) -> float:
    """The width, in the unit of the vectors, for a pool of `records`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedBandwidth:
  """A width that somebody chose.

  Attributes:
    bandwidth: the width, in the unit of the vectors.
    sample_size: 0, nothing is looked at.
  """

  bandwidth: float | int
  sample_size: int = 0

  def __post_init__(self):
    """Refuses a width that is not a positive number, with BandwidthError."""
    _check_positive("bandwidth", self.bandwidth)

  def identity(self) -> dict:
    """The rule and its numbers."""
    return {"rule": "fixed", "bandwidth": self.bandwidth}

  def width(
    self, vectors: Sample, *, records: int, hashes_per_row: int = 1
  ) -> float:
    """The number itself."""
    del vectors, records, hashes_per_row
    return float(self.bandwidth)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MedianDistance:
  """A multiple of the median distance between two vectors.

  Attributes:
    factor: width / median distance.
    sample_size: vectors that are looked at.
  """

  factor: float | int
  sample_size: int

  def __post_init__(self):
    """Refuses a factor that is not a positive number, with BandwidthError."""
    _check_positive("factor", self.factor)

  def identity(self) -> dict:
    """The rule and its numbers."""
    return {
      "rule": "median_distance",
      "factor": self.factor,
      "sample_size": self.sample_size,
    }

  def width(
    self, vectors: Sample, *, records: int, hashes_per_row: int = 1
  ) -> float:
    """factor · median ‖x − y‖ over the pairs of the sample."""
    del records, hashes_per_row
    return self.factor * median_distance(_distances(vectors))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeighbourDistance:
  """A multiple of the distance to a record's nearest neighbours.

  Attributes:
    share: of the pool that counts as a record's neighbours, in (0, 1].
    factor: width / median distance within which that share lies.
    sample_size: vectors that are looked at, 1/share at least: the nearest of
      fewer is farther away than the share's.
  """

  share: float
  factor: float | int
  sample_size: int

  def __post_init__(self):
    """Refuses numbers that are out of range, with BandwidthError."""
    _check_positive("factor", self.factor)
    if not 0 < self.share <= 1 or self.sample_size * self.share < 1:
      raise BandwidthError(
        f"a share of {self.share} of {self.sample_size} sampled vectors holds "
        "no neighbour; the share is in (0, 1], the sample at least 1/share"
      )

  def identity(self) -> dict:
    """The rule and its numbers."""
    return {
      "rule": "neighbour_distance",
      "share": self.share,
      "factor": self.factor,
      "sample_size": self.sample_size,
    }

  def width(
    self, vectors: Sample, *, records: int, hashes_per_row: int = 1
  ) -> float:
    """factor · median distance to the ⌈share·m⌉-th nearest of m others.

    Equal records say nothing of how far neighbours are: their zero distances
    are left out of the median.

    Raises:
      BandwidthError: all vectors are equal, or there is but one.
    """
    del records, hashes_per_row
    distances = _distances(vectors)
    others = len(distances) - 1
    if others < 1:
      raise _no_distance(len(distances))
    nearest = int(np.ceil(self.share * others))
    # Each row holds its own zero, at place 0.
    found = np.partition(distances, nearest, axis=1)[:, nearest]
    if not np.any(found > 0):
      raise _no_distance(len(distances))
    return self.factor * float(np.median(found[found > 0]))


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
    self, vectors: Sample, *, records: int, hashes_per_row: int = 1
  ) -> float:
    """The width by bisection, on a logarithmic scale.

    Raises:
      BandwidthError: no width makes the weights that uneven.
    """
    distances = _distances(vectors)
    median = median_distance(distances)
    measure = functools.partial(
      effective_share,
      distances,
      records=records,
      hashes_per_row=hashes_per_row,
    )
    # k(c)ᴸ ≈ 1 − L·√(2/π)·c/w for wide cells: L times the width does as much.
    wide = median * WIDEST * hashes_per_row
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
  hashes_per_row: int = 1,
) -> float:
  """Returns (Σw)²/(n·Σw²) of weights 1/S from the sample's exact kernel.

  S(y) = 1/N + (1 − 1/N) · mean of k over the other vectors of the sample: in
  a pool of N records a record's own kernel value weighs 1/N, not 1/m.
  """
  values = np.array(
    hashing.collision_probability(
      distances, width=width, hashes_per_row=hashes_per_row
    ),
    np.float64,
  )
  np.fill_diagonal(values, 0.0)
  others = values.sum(axis=1) / (len(values) - 1)
  densities = 1 / records + (1 - 1 / records) * others
  summary = sampling.summarise_log_weights(
    sampling.inverse_propensity_log_weights(densities)
  )
  return summary.effective_sample_size / summary.records


def median_distance(distances: Distances) -> float:
  """Returns the median over pairs of different rows.

  Raises:
    BandwidthError: fewer than two vectors, or most pairs are equal.
  """
  pairs = distances[np.triu_indices(len(distances), k=1)]
  if not pairs.size or np.median(pairs) == 0:
    raise _no_distance(len(distances))
  return float(np.median(pairs))


def _distances(vectors: Sample) -> Distances:
  # Row by row: the sample fits, m × m × d of differences might not.
  rows = [
    np.asarray(kernel_density.distances(vectors[i : i + 1], vectors))
    for i in range(len(vectors))
  ]
  return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def _no_distance(vectors: int) -> BandwidthError:
  return BandwidthError(
    f"no distance to measure among {vectors} sampled vectors: too few, or "
    "most are equal; use FixedBandwidth"
  )


def _check_positive(name: str, value: float | int) -> None:
  if not (np.isfinite(value) and value > 0):
    raise BandwidthError(f"{name} must be a positive number, got {value}")
