# SPDX-License-Identifier: Apache-2.0
"""The blocks of a utility kernel: where they lie, and what is in their files.

A file is the values, float32 by rows, and then a status a pair.
"""

import enum
from typing import NamedTuple

import numpy as np

from data_efficient.scorers import interface

AXES = ("target", "example")

_VALUES, _STATUSES = np.dtype("<f4"), np.dtype("u1")


class PairStatus(enum.IntEnum):
  """What is known of a pair.

  SELF and DUPLICATE (an example whose prompt and response are the target's,
  to the letter) have a value: the answer stands in the prompt. UNSCORABLE (see
  the statuses of both axes) and NON_FINITE have none. In an approximation
  (`scorers.approximations`) PREDICTED has a value that no model was asked for,
  and NOT_COMPUTED has none: no candidate, or a record and itself.
  """

  SCORED = 0
  SELF = 1
  DUPLICATE = 2
  UNSCORABLE = 3
  NON_FINITE = 4
  PREDICTED = 5
  NOT_COMPUTED = 6


# Those without a value.
WITHOUT_VALUE = (
  PairStatus.UNSCORABLE,
  PairStatus.NON_FINITE,
  PairStatus.NOT_COMPUTED,
)


class Axis(NamedTuple):
  """The records along one axis, in their order.

  Attributes:
    files: name of the file that each is in [n].
    contents: xxh3 of that file, uint64 [n]: a record is itself under any name.
    positions: row in its file, int64 [n].
    fingerprints: xxh3 of prompt and response, uint64 [n].
    statuses: "scored" or "unscorable(reason)" [n].
  """

  files: list[str]
  contents: np.ndarray
  positions: np.ndarray
  fingerprints: np.ndarray
  statuses: list[str]

  @property
  def scorable(self) -> np.ndarray:
    """Which records have pairs with values, bool [n]."""
    return np.array([s == interface.SCORED for s in self.statuses], bool)


class Place(NamedTuple):
  """Where a block lies in a kernel.

  Attributes:
    part: name of its file.
    targets: rows.
    examples: columns.
  """

  part: str
  targets: slice
  examples: slice

  @property
  def shape(self) -> tuple[int, int]:
    """Rows and columns."""
    rows, columns = self.targets, self.examples
    return rows.stop - rows.start, columns.stop - columns.start


def places(shape: tuple[int, int], size: tuple[int, int]) -> list[Place]:
  """Returns the blocks of a kernel, by rows of blocks.

  Args:
    shape: targets and examples.
    size: of a block; those at the ends are smaller.
  """
  rows, columns = (
    [slice(at, min(at + step, count)) for at in range(0, count, step)]
    for count, step in zip(shape, size, strict=True)
  )
  return [
    Place(f"{number:06d}-{index:06d}.block", row, column)
    for number, row in enumerate(rows)
    for index, column in enumerate(columns)
  ]


def packed(values: np.ndarray, statuses: np.ndarray) -> bytes:
  """A block's file: float32 by rows, little-endian, then a status a pair."""
  return (
    np.ascontiguousarray(values, _VALUES).tobytes()
    + np.ascontiguousarray(statuses, _STATUSES).tobytes()
  )


def unpacked(data: bytes, place: Place) -> tuple[np.ndarray, np.ndarray]:
  """Values and statuses [targets, examples] of a block's file."""
  count = place.shape[0] * place.shape[1]
  values = np.frombuffer(data, _VALUES, count)
  statuses = np.frombuffer(data, _STATUSES, count, count * _VALUES.itemsize)
  return values.reshape(place.shape), statuses.reshape(place.shape)
