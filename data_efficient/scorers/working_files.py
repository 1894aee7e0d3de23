# SPDX-License-Identifier: Apache-2.0
"""What a scorer leaves on disk between its passes, where memory is too small.

A scorer opens no file: `data.working_directories` hands it a place, which also
knows who makes a pass: this process, several, or the workers of a pipeline.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

Columns = dict[str, np.ndarray]


@runtime_checkable
class WorkingFiles(Protocol):
  """Numbered pieces of passes, kept until the scores are there."""

  def each(
    self, label: str, function: Callable[[int], Columns], count: int
  ) -> None:
    """Makes the pieces 0 to count − 1 of a pass; returns when all are there.

    Those that are there already are not made again, so that whatever a piece
    depends on beside the score set's identity must be in its pass's name.

    Args:
      label: name of the pass.
      function: of a piece's number; goes to other processes.
      count: how many.
    """

  def read(self, label: str, number: int) -> Columns:
    """A piece; its arrays are read from the disk where they are looked at."""


class InMemory:
  """Keeps the pieces in memory: of a scorer that nobody gave a place."""

  def __init__(self):
    """Nothing is there."""
    self._pieces: dict[tuple[str, int], Columns] = {}

  def each(
    self, label: str, function: Callable[[int], Columns], count: int
  ) -> None:
    """Makes the pieces that are not there, one after another."""
    for number in range(count):
      if (label, number) not in self._pieces:
        self._pieces[label, number] = function(number)

  def read(self, label: str, number: int) -> Columns:
    """A piece."""
    return self._pieces[label, number]


@runtime_checkable
class KeepsFiles(Protocol):
  """A scorer whose passes leave pieces.

  Attributes:
    working_files: where; None to keep them in memory.
  """

  working_files: WorkingFiles | None
