# SPDX-License-Identifier: Apache-2.0
"""The one interface that every corpus has."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from data_efficient.data.records import Record


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
