# SPDX-License-Identifier: Apache-2.0
"""How wide a cell of the density sketch is: rules to choose from.

The paper says neither its bandwidth nor how it was chosen, and its own
histogram shows densities so even that the weights 1/S differ by at most 1.17:
nearly uniform sampling. The rule is therefore a choice to make. One more, by
effective sample size, is in `bandwidth_search`.

Two widths can make the weights equally uneven and mean opposite things. A cell
as wide as a neighbourhood sees how crowded it is; a cell of about the median
distance sees how far a record is from the centre of the corpus, and calls
whatever the corpus is about "crowded". `NeighbourDistance` takes the first.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from data_efficient.kernels import angular
from data_efficient.scorers import hash_families

Sample = Float[np.ndarray, "m d"]
Distances = Float[np.ndarray, "m m"]


class BandwidthError(ValueError):
  """A width that cannot be had from the vectors, and what to change."""


@runtime_checkable
class BandwidthRule(Protocol):
  """From a sample of the vectors to the width of a cell."""

  sample_size: int

  def identity(self) -> dict:
    """The rule and its numbers, JSON-able."""

  def width(
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """The width, in the family's distance, for a pool of `records`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedBandwidth:
  """A width that somebody chose.

  Attributes:
    bandwidth: the width, in the unit of the vectors; radians for `Angular`.
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
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """The number itself."""
    del vectors, records, family
    return float(self.bandwidth)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AngularBits:
  """So many bits a row, for `Angular`: the kernel (1 − θ/π)ᴸ.

  Attributes:
    bits: L, from 1 to 30.
    sample_size: 0, nothing is looked at.
  """

  bits: int
  sample_size: int = 0

  def __post_init__(self):
    """Refuses a number of bits that no row has, with BandwidthError."""
    if not 1 <= self.bits <= angular.MOST_BITS:
      raise BandwidthError(
        f"bits must be from 1 to {angular.MOST_BITS}, got {self.bits}"
      )

  def identity(self) -> dict:
    """The rule and its numbers."""
    return {"rule": "angular_bits", "bits": self.bits}

  def width(
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """The angle of so many bits.

    Raises:
      BandwidthError: the family is not `Angular`.
    """
    del vectors, records
    if not isinstance(family, hash_families.Angular):
      raise BandwidthError(
        "AngularBits is a width for the hash family Angular, not for "
        f"{type(family).__name__}: use FixedBandwidth"
      )
    return hash_families.width_of(self.bits)


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
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """factor · median ‖x − y‖ over the pairs of the sample."""
    del records
    return self.factor * median_distance(family.distances(vectors))


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
    self, vectors: Sample, *, records: int, family: hash_families.HashFamily
  ) -> float:
    """factor · median distance to the ⌈share·m⌉-th nearest of m others.

    Equal records say nothing of how far neighbours are: their zero distances
    are left out of the median.

    Raises:
      BandwidthError: all vectors are equal, or there is but one.
    """
    del records
    distances = family.distances(vectors)
    others = len(distances) - 1
    if others < 1:
      raise _no_distance(len(distances))
    nearest = int(np.ceil(self.share * others))
    # Each row holds its own zero, at place 0.
    found = np.partition(distances, nearest, axis=1)[:, nearest]
    if not np.any(found > 0):
      raise _no_distance(len(distances))
    return self.factor * float(np.median(found[found > 0]))


def median_distance(distances: Distances) -> float:
  """Returns the median over pairs of different rows.

  Raises:
    BandwidthError: fewer than two vectors, or most pairs are equal.
  """
  pairs = distances[np.triu_indices(len(distances), k=1)]
  if not pairs.size or np.median(pairs) == 0:
    raise _no_distance(len(distances))
  return float(np.median(pairs))


def _no_distance(vectors: int) -> BandwidthError:
  return BandwidthError(
    f"no distance to measure among {vectors} sampled vectors: too few, or "
    "most are equal; use FixedBandwidth"
  )


def _check_positive(name: str, value: float | int) -> None:
  if not (np.isfinite(value) and value > 0):
    raise BandwidthError(f"{name} must be a positive number, got {value}")
