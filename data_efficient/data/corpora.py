# SPDX-License-Identifier: Apache-2.0
"""The one interface that every corpus has."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from data_efficient.data.records import Record
from data_efficient.scorers.templates import Instruction


class CorpusError(ValueError):
  """A corpus is missing, empty or damaged. Names the file and the row."""


@runtime_checkable
class Corpus(Protocol):
  """Shards of records that are read in order and never rewritten."""

  name: str

  def shards(self) -> list[str]:
    """Returns the shards' unique names in a fixed order; reads no data."""
    ...

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a shard's records with positions start, start + 1, …

    Raises:
      CorpusError: where the data are damaged; names file and row.
    """
    ...

  def identity(self) -> dict[str, Any]:
    """Returns what the corpus is made of, as JSON-able values.

    It changes when the files' names or bytes change; copying or touching a
    file does not change it.
    """
    ...


@runtime_checkable
class RandomAccess(Protocol):
  """What a corpus has besides if single records of it can be read."""

  def check_random_access(self) -> None:
    """Raises CorpusError where this corpus' files do not allow it after all.

    The message has the command that makes files which do.
    """
    ...

  def fetch(
    self, shard: str, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[str]:
    """Returns the texts of some records of a shard; safe in many threads.

    Args:
      shard: one of `shards()`.
      positions: of the records.
      offsets: the same records' `offset`, from the corpus's index.

    Raises:
      CorpusError: no such record, or a damaged one; names file and row.
    """
    ...


@runtime_checkable
class InstructionCorpus(Protocol):
  """What a corpus has besides if its records are prompts and responses."""

  def instructions(self, shard: str, start: int = 0) -> Iterator[Instruction]:
    """Yields the prompts and responses of what `read` yields as texts.

    Raises:
      CorpusError: where the data are damaged; names file and row.
    """
    ...
