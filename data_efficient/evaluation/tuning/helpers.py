# SPDX-License-Identifier: Apache-2.0
"""The examples that help a record most, from a utility kernel.

  U[target i, example j] = d(yᵢ | xᵢ) − d(yᵢ | xⱼ, yⱼ, xᵢ)

(DELIFT, arXiv 2411.04425, Sec. 3): above 0 where a model comes nearer the
answer with the example before the query. Pairs that show their own answer are
masked (`utility_kernels`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from data_efficient.data.utility_kernels import Axis, UtilityKernel

EXAMPLES = 3


class Helped(NamedTuple):
  """A target, and what helps it.

  Attributes:
    target: its row of the kernel.
    examples: columns, best first.
    utilities: of these.
  """

  target: int
  examples: list[int]
  utilities: list[float]


def of(kernel: UtilityKernel, targets: Int64[np.ndarray, " t"]) -> list[Helped]:
  """The `EXAMPLES` of greatest utility for each of some targets.

  Args:
    kernel: read block by block.
    targets: rows, ascending.

  Raises:
    ArtifactError: a missing or damaged block.
  """
  best = np.full((len(targets), EXAMPLES), -np.inf, np.float32)
  places = np.full((len(targets), EXAMPLES), -1, np.int64)
  for block in kernel.blocks("raw"):
    rows = np.flatnonzero(
      (targets >= block.targets.start) & (targets < block.targets.stop)
    )
    if not len(rows):
      continue
    inside = targets[rows] - block.targets.start
    values = np.where(block.mask[inside], -np.inf, block.values[inside])
    columns = np.arange(block.examples.start, block.examples.stop)
    best[rows], places[rows] = _merged(
      np.concatenate([best[rows], values.astype(np.float32)], axis=1),
      np.concatenate(
        [places[rows], np.broadcast_to(columns, values.shape)], axis=1
      ),
    )
  return [
    Helped(
      int(target),
      [int(c) for c, u in zip(row, own, strict=True) if np.isfinite(u)],
      [float(u) for u in own if np.isfinite(u)],
    )
    for target, row, own in zip(targets, places, best, strict=True)
  ]


def _merged(
  values: Float32[np.ndarray, "t n"], places: Int64[np.ndarray, "t n"]
) -> tuple[Float32[np.ndarray, "t k"], Int64[np.ndarray, "t k"]]:
  order = np.argsort(-values, axis=1, kind="stable")[:, :EXAMPLES]
  return (
    np.take_along_axis(values, order, axis=1),
    np.take_along_axis(places, order, axis=1),
  )


def shown(found: list[Helped], *, count: int) -> list[Helped]:
  """Targets from the most helped to the least, evenly spaced in their order."""
  ranked = sorted(
    (each for each in found if each.examples),
    key=lambda each: (-each.utilities[0], each.target),
  )
  if len(ranked) <= count:
    return ranked
  places = np.linspace(0, len(ranked) - 1, count).round().astype(int)
  return [ranked[place] for place in places.tolist()]


def among(
  axis: Axis, kept: dict[str, Int64[np.ndarray, " k"]]
) -> Bool[np.ndarray, " n"]:
  """Which records of an axis are among those that a selection keeps.

  Args:
    axis: of a kernel.
    kept: file -> positions.
  """
  there = np.zeros(len(axis.files), bool)
  files = np.array(axis.files, object)
  for name, positions in kept.items():
    rows = files == name
    there[rows] = np.isin(axis.positions[rows], positions)
  return there
