# SPDX-License-Identifier: Apache-2.0
"""Filling a utility kernel: opened by all processes, made block by block."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from data_efficient import processes, progress
from data_efficient.data import artifacts, utility_kernel_writer
from data_efficient.data.utility_blocks import Axis, Place
from data_efficient.scorers import pair_tokens, pairwise_utility

Writer = utility_kernel_writer.UtilityKernelWriter
# Writes a block that is missing; the last argument is told of pairs.
Work = Callable[[Place, Callable[[int], None]], None]


@contextlib.contextmanager
def opened(
  directory: artifacts.PathLike,
  *,
  identity: dict[str, Any],
  axes: tuple[Axis, Axis],
  block: tuple[int, int],
) -> Iterator[tuple[Writer, list[Place]]]:
  """A kernel's writer, and the blocks that were missing at first.

  Args:
    directory: of the kernel.
    identity: see `utility_kernel_writer`.
    axes: targets and examples.
    block: how many of each.

  Raises:
    ArtifactError: see the writer.
  """
  with contextlib.ExitStack() as stack:
    with processes.first_alone("utility kernel opened"):
      writer = stack.enter_context(
        Writer(
          directory,
          identity=identity,
          targets=axes[0],
          examples=axes[1],
          block=block,
          member=processes.index(),
        )
      )
      missing = writer.missing()
    # Nobody writes before all have seen what is missing.
    processes.wait("blocks listed")
    yield writer, missing


def fill(label: str, share: Sequence[Place], work: Work) -> None:
  """Does the work of some blocks, under a bar of pairs.

  Args:
    label: of the bar.
    share: this process's blocks.
    work: of a block.
  """
  total = sum(place.shape[0] * place.shape[1] for place in share)
  with progress.bar(label, total=total) as advance:
    for place in share:
      done = 0

      def some(pairs: int) -> None:
        nonlocal done
        done += pairs
        advance(pairs)

      work(place, some)
      # Pairs of unscorable records took no time.
      advance(place.shape[0] * place.shape[1] - done)


def whole(
  writer: Writer,
  scorer: pairwise_utility.PairwiseUtility,
  rows: Sequence[pair_tokens.Target],
  columns: Sequence[pair_tokens.Example],
  alone: np.ndarray,
) -> Work:
  """Every pair of a block, computed."""

  def work(place: Place, advance: Callable[[int], None]) -> None:
    values = scorer.block(
      rows[place.targets],
      columns[place.examples],
      alone[place.targets],
      advance,
    )
    writer.write(place, values)

  return work
