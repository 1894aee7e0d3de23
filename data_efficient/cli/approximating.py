# SPDX-License-Identifier: Apache-2.0
"""Utility kernels of which some pairs are computed: a part of `utility`.

Rectangles of targets × examples that a surrogate learns from are kernels of
their own, in OUTPUT/computed-0, …: computed, shared and resumed as any other.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from data_efficient import processes
from data_efficient.cli import kernel_filling
from data_efficient.data import utility_kernels
from data_efficient.data.utility_blocks import Axis, Place
from data_efficient.scorers import (
  approximations,
  pair_tokens,
  pairwise_utility,
)
from data_efficient.scorers.approximations import Known, Records, Rectangle
from data_efficient.scorers.templates import Instruction

Approximation = approximations.Neighbours | approximations.Surrogate


# Targets and examples.
Texts = tuple[Sequence[Instruction], Sequence[Instruction]]


class Work(NamedTuple):
  """A kernel that is to be filled.

  Attributes:
    output: its directory.
    identity: the kernel's.
    block: targets and examples of a block.
    scorer: what computes.
    axes: of targets and examples.
    tokens: of targets and examples.
  """

  output: str
  identity: dict[str, Any]
  block: tuple[int, int]
  scorer: pairwise_utility.PairwiseUtility
  axes: tuple[Axis, Axis]
  tokens: tuple[Sequence[pair_tokens.Target], Sequence[pair_tokens.Example]]


def prepared(
  approximation: Approximation,
  work: Work,
  writer: kernel_filling.Writer,
  alone: np.ndarray,
  records: Texts,
) -> kernel_filling.Work:
  """Does what comes before the first block; returns what makes a block.

  Args:
    approximation: which pairs.
    work: what is to be filled.
    writer: of it.
    alone: d(y | x) of each target.
    records: prompt and response are embedded, with a blank line between them.

  Raises:
    ApproximationError: records that nothing can be approximated from.
  """
  texts = [["\n\n".join(one) for one in some] for some in records]
  vectors = approximations.embedded(approximation.embedder, *texts)
  rows, columns = (
    Records(found, axis.fingerprints, axis.scorable)
    for found, axis in zip(vectors, work.axes, strict=True)
  )
  if isinstance(approximation, approximations.Neighbours):
    near = approximation.candidates(rows, columns)
    return _candidates(work, writer, alone, near)
  known = [
    _computed(work, alone, rectangle, number)
    for number, rectangle in enumerate(approximation.rectangles(rows, columns))
  ]
  return _predicted(writer, known, approximation.fit(known, rows, columns))


def _candidates(
  work: Work,
  writer: kernel_filling.Writer,
  alone: np.ndarray,
  near: Int[np.ndarray, "n k"],
) -> kernel_filling.Work:
  """Blocks whose targets are computed for their candidates alone.

  Examples that are read at once are computed for the targets of any of them,
  which is never more than a step for each of them would be.
  """
  rows, columns = work.tokens
  together = work.scorer.examples_at_once

  def block(place: Place, advance: Callable[[int], None]) -> None:
    first = place.examples.start
    wanted = _mask(near[place.targets], place)
    values = np.full(place.shape, np.nan, np.float32)
    for start in range(0, place.shape[1], together):
      some = slice(start, min(start + together, place.shape[1]))
      chosen = np.flatnonzero(wanted[:, some].any(axis=1))
      if not len(chosen):
        continue
      targets = chosen + place.targets.start
      values[chosen, some] = work.scorer.block(
        [rows[target] for target in targets.tolist()],
        columns[first + some.start : first + some.stop],
        alone[targets],
        advance,
      )
    writer.write(place, values, exact=wanted)

  return block


def _mask(
  near: Int[np.ndarray, "r k"], place: Place
) -> Bool[np.ndarray, "r c"]:
  """Which pairs of a block are candidates."""
  found = np.zeros(place.shape, bool)
  columns = near - place.examples.start
  inside = (near >= place.examples.start) & (near < place.examples.stop)
  row, _ = np.nonzero(inside)
  found[row, columns[inside]] = True
  return found


def _computed(
  work: Work, alone: np.ndarray, rectangle: Rectangle, number: int
) -> Known:
  """The pairs of a rectangle: read, or computed before."""
  directory = pathlib.Path(work.output) / f"computed-{number}"
  rows, columns = (
    [side[n] for n in numbers.tolist()]
    for side, numbers in zip(work.tokens, rectangle, strict=True)
  )
  axes = tuple(
    _some(axis, numbers)
    for axis, numbers in zip(work.axes, rectangle, strict=True)
  )
  with kernel_filling.opened(
    directory,
    identity={**work.identity, "rectangle": number},
    axes=axes,
    block=work.block,
  ) as (writer, missing):
    if not writer.complete:
      alone = alone[rectangle.targets]
      if processes.is_first() and writer.alone() is None:
        writer.write_alone(alone)
      kernel_filling.fill(
        f"{work.scorer.name}, pairs of rectangle {number}",
        processes.share(missing),
        kernel_filling.whole(writer, work.scorer, rows, columns, alone),
      )
      processes.wait("rectangle written")
      with processes.first_alone("rectangle finished"):
        if processes.is_first():
          writer.finish(scorer=work.scorer.name)
  return _known(directory, rectangle)


def _known(directory: pathlib.Path, rectangle: Rectangle) -> Known:
  counted = utility_kernels.UtilityKernel.open(directory)
  every = utility_kernels.UtilityKernel.open(directory, masked=())
  values = np.where(every.mask(), np.float32(np.nan), every.read("raw"))
  return Known(rectangle, values, ~counted.mask())


def _some(axis: Axis, numbers: Int[np.ndarray, " k"]) -> Axis:
  """Some of an axis's records."""
  return Axis(
    [axis.files[number] for number in numbers.tolist()],
    *(found[numbers] for found in axis[1:4]),
    [axis.statuses[number] for number in numbers.tolist()],
  )


def _predicted(
  writer: kernel_filling.Writer,
  known: Sequence[Known],
  predictor: approximations.Predictor,
) -> kernel_filling.Work:
  """Blocks of what was computed, and predictions everywhere else."""

  def block(place: Place, advance: Callable[[int], None]) -> None:
    values: Float32[np.ndarray, "r c"] = predictor.predict(
      place.targets, place.examples
    )
    exact = np.zeros(place.shape, bool)
    for one in known:
      (chosen, rows), (taken, columns) = (
        approximations.within(numbers, part)
        for numbers, part in zip(one.rectangle, place[1:], strict=True)
      )
      values[np.ix_(rows, columns)] = one.values[np.ix_(chosen, taken)]
      exact[np.ix_(rows, columns)] = True
    writer.write(place, values, exact=exact, predicted=~exact)

  return block
