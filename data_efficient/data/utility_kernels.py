# SPDX-License-Identifier: Apache-2.0
"""Utility kernels: what each example is worth for each target, by blocks.

  U[target i, example j] = d(y_i | x_i) − d(y_i | x_j, y_j, x_i)

Raw values in float32 with a status a pair, in blocks of one file each; axes
are named, and every row and column knows its record. What selectors read is
transformed on the way: one scale for all kernels that are read together,
never one a block or a kernel (DELIFT's public code did, and changed what
kernels were worth beside one another).
"""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import artifacts
from data_efficient.data.artifacts import ArtifactError
from data_efficient.data.utility_blocks import (
  AXES,
  WITHOUT_VALUE,
  Axis,
  PairStatus,
  Place,
  places,
  unpacked,
)

KIND = "utility_kernel"
# Parts beside the blocks.
TABLES = {axis: f"{axis}s.parquet" for axis in AXES}
ALONE = "alone.f32"

# What is masked unless a reader asks otherwise.
SHOWN_ANSWERS = (PairStatus.SELF, PairStatus.DUPLICATE)

Transform = Callable[[np.ndarray], np.ndarray]


def clip(values: np.ndarray) -> np.ndarray:
  """max(U, 0): an example that does harm helps nothing. The default."""
  return np.maximum(values, np.float32(0.0))


def exponential(values: np.ndarray) -> np.ndarray:
  """exp(U): everything helps a little."""
  return np.exp(values)


def raw(values: np.ndarray) -> np.ndarray:
  """U itself, in [−1, 1] for the Euclidean distance."""
  return values


def min_max(kernels: Sequence["UtilityKernel"]) -> Transform:
  """(U − least) / (greatest − least), in [0, 1], one scale for all kernels.

  Args:
    kernels: all that are compared with one another; each is read once.

  Raises:
    ArtifactError: none of them has two different values.
  """
  ranges = [kernel.range() for kernel in kernels]
  ranges = [found for found in ranges if found is not None]
  low = min((found[0] for found in ranges), default=0.0)
  high = max((found[1] for found in ranges), default=0.0)
  if low == high:
    raise ArtifactError(
      "min_max: no kernel has two different values, so there is no scale; "
      "use clip"
    )

  def scaled(values: np.ndarray) -> np.ndarray:
    spread = np.float32(high) - np.float32(low)
    return np.clip((values - np.float32(low)) / spread, 0.0, 1.0)

  return scaled


TRANSFORMS = {"clip": clip, "exp": exponential, "raw": raw}


class Block(NamedTuple):
  """Some neighbouring pairs.

  Attributes:
    targets: rows of the kernel.
    examples: its columns.
    values: transformed, float32 [targets, examples]; 0 where masked.
    mask: true where a pair is masked: its 0 is no measurement.
  """

  targets: slice
  examples: slice
  values: np.ndarray
  mask: np.ndarray


class UtilityKernel:
  """A utility kernel that was written before. Every block read is verified.

  Args:
    manifest: manifest of a finished kernel.
    masked: statuses that are masked besides those without a value: by
      default an example that is the target itself, or an exact copy.
  """

  axes = AXES

  def __init__(
    self,
    manifest: artifacts.Manifest,
    *,
    masked: Collection[PairStatus] = SHOWN_ANSWERS,
  ):
    self._manifest = manifest
    self._masked = np.array(sorted({*masked, *WITHOUT_VALUE}), np.uint8)
    self.shape: tuple[int, int] = tuple(manifest.summary["shape"])
    self._size: tuple[int, int] = tuple(manifest.identity["block"])

  @classmethod
  def open(
    cls,
    directory: artifacts.PathLike,
    *,
    masked: Collection[PairStatus] = SHOWN_ANSWERS,
  ) -> "UtilityKernel":
    """Opens a finished kernel.

    Raises:
      ArtifactError: none is there, or it is unfinished or damaged.
    """
    manifest = artifacts.read_manifest(directory, kind=KIND)
    return cls(manifest, masked=masked)

  @property
  def identity(self) -> dict[str, Any]:
    """Records, model, template, distance and so on that it was made from."""
    return self._manifest.identity

  @property
  def scored(self) -> int:
    """Pairs with a value that are neither self nor copy."""
    return self._manifest.summary["scored"]

  @property
  def non_finite(self) -> int:
    """Pairs of scorable records that the model had no number for."""
    return self._manifest.summary["non_finite"]

  @functools.cached_property
  def targets(self) -> Axis:
    """The records of the rows: those that are helped."""
    return self._axis("target")

  @functools.cached_property
  def examples(self) -> Axis:
    """The records of the columns: those that help."""
    return self._axis("example")

  @functools.cached_property
  def alone(self) -> np.ndarray:
    """d(y | x) of each target without an example, float32; NaN: unscorable."""
    return np.frombuffer(self._manifest.read_bytes(ALONE), "<f4")

  def blocks(self, transform: Transform | str = "clip") -> Iterator[Block]:
    """Yields all pairs, a block at a time, by rows of blocks.

    Args:
      transform: "clip", "exp", "raw", or a function such as `min_max` makes.
        Masked pairs are 0 whatever it is.

    Raises:
      ArtifactError: a missing or damaged block.
      ValueError: no such transform, or one that overflows.
    """
    transform = _transform(transform)
    for place in places(self.shape, self._size):
      values, statuses = self._read(place)
      mask = np.isin(statuses, self._masked)
      kept = transform(np.where(mask, np.float32(0.0), values))
      kept = np.where(mask, np.float32(0.0), kept).astype(np.float32)
      if not np.isfinite(kept).all():
        raise ValueError(
          f"{self._manifest.directory}: the transform gives values that are "
          "not finite (exp of a sum of log-likelihoods?): use clip or min_max"
        )
      yield Block(place.targets, place.examples, kept, mask)

  def read(self, transform: Transform | str = "clip") -> np.ndarray:
    """Returns all pairs, float32 [targets, examples], never NaN.

    See `blocks`; a kernel larger than memory is read by them.
    """
    found = np.zeros(self.shape, np.float32)
    for block in self.blocks(transform):
      found[block.targets, block.examples] = block.values
    return found

  def mask(self) -> np.ndarray:
    """Returns which pairs are masked, bool [targets, examples]."""
    return np.isin(self.statuses(), self._masked)

  def statuses(self) -> np.ndarray:
    """Returns a `PairStatus` a pair, uint8 [targets, examples]."""
    found = np.zeros(self.shape, np.uint8)
    for place in places(self.shape, self._size):
      found[place.targets, place.examples] = self._read(place)[1]
    return found

  def range(self) -> tuple[float, float] | None:
    """Returns the least and the greatest raw value; None: all are masked."""
    low, high = np.inf, -np.inf
    for block in self.blocks(raw):
      values = block.values[~block.mask]
      low = min(low, values.min(initial=np.inf))
      high = max(high, values.max(initial=-np.inf))
    return (float(low), float(high)) if low <= high else None

  def _axis(self, axis: str) -> Axis:
    table = self._manifest.read_table(TABLES[axis])
    return Axis(
      table["file"].to_pylist(),
      *(table[name].to_numpy() for name in ("content", "position")),
      table["fingerprint"].to_numpy(),
      table["status"].to_pylist(),
    )

  def _read(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
    return unpacked(self._manifest.read_bytes(place.part), place)


def _transform(named: Transform | str) -> Transform:
  if callable(named):
    return named
  if named not in TRANSFORMS:
    raise ValueError(
      f"transform = {named!r}: expected one of {sorted(TRANSFORMS)}, or "
      "min_max(kernels) of all kernels that are read together"
    )
  return TRANSFORMS[named]
