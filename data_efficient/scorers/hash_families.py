# SPDX-License-Identifier: Apache-2.0
"""Which hashes a density sketch is made of: by L2 distance, or by angle.

A family and a width give a kernel. The width is a length in the unit of the
family's distance; `bandwidth` has the rules that choose it.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Key

from data_efficient.kernels import angular, hashing, kernel_density, p_stable

PROJECTIONS = ("dense", "structured")
WIDEST = 64.0  # in median distances: all weights within a percent

Vectors = Float[np.ndarray, "m d"]
Distances = Float[np.ndarray, "m m"]


class HashFamilyError(ValueError):
  """A family that cannot be, or a width that it cannot have."""


@runtime_checkable
class HashFamily(Protocol):
  """A locality-sensitive hash and its kernel."""

  def identity(self) -> dict[str, Any]:
    """The family and its numbers, JSON-able."""

  def distances(self, vectors: Vectors) -> Distances:
    """Distances of all pairs."""

  def kernel(self, distances: Distances, *, width: float) -> Distances:
    """P[a row sends two vectors at these distances to one code], float64."""

  def widest(self, median: float) -> float:
    """A width at which all weights are alike, for this median distance."""

  def draw(
    self,
    key: Key[Array, ""],
    *,
    dimensions: int,
    num_rows: int,
    width: float,
  ) -> hashing.Hashes:
    """R rows of hashes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PStable:
  """Cells of a width along random directions: L2 distance.

  Attributes:
    hashes_per_row: L, hashes that must agree; the paper has 1. The kernel is
      k(‖x − y‖)ᴸ: a larger L sees less of what is far away, which is what
      evens out a mixture whose clusters are not tight.
    projection: "dense" (independent directions) or "structured" (random
      rotations: fewer operations, see `kernels.projections`).
  """

  hashes_per_row: int
  projection: str

  def __post_init__(self):
    """Refuses what is no projection, with HashFamilyError."""
    _check_projection(self.projection)

  def identity(self) -> dict[str, Any]:
    """The family and its numbers."""
    return {"family": "p_stable", **dataclasses.asdict(self)}

  def distances(self, vectors: Vectors) -> Distances:
    """‖x − y‖ of all pairs."""
    return _pairs(kernel_density.distances, vectors)

  def kernel(self, distances: Distances, *, width: float) -> Distances:
    """k(c)ᴸ, see `p_stable.collision_probability`."""
    return np.array(
      p_stable.collision_probability(
        distances, width=width, hashes_per_row=self.hashes_per_row
      ),
      np.float64,
    )

  def widest(self, median: float) -> float:
    """So many median distances; k(c)ᴸ ≈ 1 − L·√(2/π)·c/w there."""
    return median * WIDEST * self.hashes_per_row

  def draw(
    self,
    key: Key[Array, ""],
    *,
    dimensions: int,
    num_rows: int,
    width: float,
  ) -> p_stable.PStableHash:
    """R rows of L hashes; raises ValueError as `p_stable.init`."""
    return p_stable.init(
      key,
      dimensions=dimensions,
      num_rows=num_rows,
      width=width,
      hashes_per_row=self.hashes_per_row,
      structured=self.projection == "structured",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Angular:
  """Sides of random planes: the angle between vectors, in radians.

  The kernel (1 − θ/π)ᴸ is set by L, the bits a row, from 1 to 30. A width is
  the angle at which it falls to 1/e; L is what comes nearest to it:

    L = −1 / ln(1 − width/π)

  Attributes:
    projection: "dense" (independent directions) or "structured" (random
      rotations: fewer operations, see `kernels.projections`).
  """

  projection: str

  def __post_init__(self):
    """Refuses what is no projection, with HashFamilyError."""
    _check_projection(self.projection)

  def identity(self) -> dict[str, Any]:
    """The family and its numbers."""
    return {"family": "angular", **dataclasses.asdict(self)}

  def distances(self, vectors: Vectors) -> Distances:
    """The angles of all pairs."""
    return _pairs(kernel_density.angles, vectors)

  def kernel(self, distances: Distances, *, width: float) -> Distances:
    """(1 − θ/π)ᴸ at the width's L; 30 bits at most."""
    bits = min(bits_of(width), angular.MOST_BITS)
    return np.array(
      angular.collision_probability(distances, bits=bits), np.float64
    )

  def widest(self, median: float) -> float:
    """The width of one bit, whatever the median."""
    del median
    return width_of(1)

  def draw(
    self,
    key: Key[Array, ""],
    *,
    dimensions: int,
    num_rows: int,
    width: float,
  ) -> angular.AngularHash:
    """R rows of L bits.

    Raises:
      HashFamilyError: an angle too narrow for 30 bits.
      ValueError: as `angular.init`.
    """
    bits = bits_of(width)
    if bits > angular.MOST_BITS:
      raise HashFamilyError(
        f"an angular width of {width:.4g} rad needs {bits:,} bits a row, and "
        f"there are at most {angular.MOST_BITS}: ask for a width of "
        f"{width_of(angular.MOST_BITS):.3g} or more, or take PStable"
      )
    return angular.init(
      key,
      dimensions=dimensions,
      num_rows=num_rows,
      bits=bits,
      structured=self.projection == "structured",
    )


def bits_of(width: float) -> int:
  """Returns the bits whose kernel falls to 1/e nearest to an angle, from 1."""
  if width >= math.pi:
    return 1
  return max(1, round(-1 / math.log1p(-width / math.pi)))


def width_of(bits: int) -> float:
  """Returns the angle, in radians, at which so many bits fall to 1/e."""
  return -math.pi * math.expm1(-1 / bits)


def _pairs(measure: Callable, vectors: Vectors) -> Distances:
  # Row by row: the sample fits, m × m × d of differences might not.
  to_all = functools.partial(measure, data=vectors)
  rows = [np.asarray(to_all(vectors[i : i + 1])) for i in range(len(vectors))]
  return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


def _check_projection(name: str) -> None:
  if name not in PROJECTIONS:
    raise HashFamilyError(
      f"projection must be one of {', '.join(PROJECTIONS)}, got {name!r}"
    )
