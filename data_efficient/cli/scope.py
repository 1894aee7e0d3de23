# SPDX-License-Identifier: Apache-2.0
"""Which records a score set asks for: those of some splits, or all."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from data_efficient.data import prepared


@runtime_checkable
class Scope(Protocol):
  """The records to score, and the ones that a scorer may look at before."""

  def identity(self) -> Any:
    """What the score set says of it, JSON-able."""

  def mask(self) -> dict[str, np.ndarray]:
    """Shard to bool [records]: which ones are scored."""

  def records(self, split: str) -> int:
    """How many a split has."""

  def texts(self, split: str) -> Iterator[str]:
    """The texts of a split, in the corpus's order."""

  def positions(self, split: str) -> dict[str, np.ndarray]:
    """Shard to the positions of a split's records, ascending."""


def of(corpus: prepared.Prepared, splits: Sequence[str] | str | None) -> Scope:
  """The scope of some splits, or of none: all records.

  Raises:
    ValueError: an empty list of splits, or an unknown one.
  """
  if splits is None:
    return _Whole(corpus)
  names = (splits,) if isinstance(splits, str) else tuple(splits)
  if not names:
    raise ValueError(
      "SCORED_SPLITS is empty: name splits, or None for all records"
    )
  return _Splits(corpus, names)


class _Splits:
  """The records of some splits."""

  def __init__(self, corpus: prepared.Prepared, names: Sequence[str]):
    self._corpus, self._names = corpus, names

  def identity(self) -> dict[str, Any]:
    return {
      name: self._corpus.split(name).selection.identity for name in self._names
    }

  def mask(self) -> dict[str, np.ndarray]:
    return self._corpus.mask(self._names)

  def records(self, split: str) -> int:
    return self._corpus.split(split).selection.records

  def texts(self, split: str) -> Iterator[str]:
    return self._corpus.split(split).texts()

  def positions(self, split: str) -> dict[str, np.ndarray]:
    selection = self._corpus.split(split).selection
    return {shard: selection.positions(shard) for shard in selection.shards}


class _Whole:
  """All records, with no splits made: the pool is the corpus."""

  def __init__(self, corpus: prepared.Prepared):
    self._corpus = corpus

  def identity(self) -> str:
    return "none: all records of the corpus"

  def mask(self) -> dict[str, np.ndarray]:
    shards = self._corpus.index.shards
    return {shard: np.ones(count, bool) for shard, count in shards.items()}

  def records(self, split: str) -> int:
    _check_pool(split)
    return self._corpus.index.records

  def texts(self, split: str) -> Iterator[str]:
    _check_pool(split)
    corpus = self._corpus.corpus
    return (
      record.text
      for shard in self._corpus.index.shards
      for record in corpus.read(shard)
    )

  def positions(self, split: str) -> dict[str, np.ndarray]:
    _check_pool(split)
    shards = self._corpus.index.shards
    return {shard: np.arange(count) for shard, count in shards.items()}


def _check_pool(split: str) -> None:
  if split != "pool":
    raise ValueError(
      f"the scorer learns from the split {split!r}, but SCORED_SPLITS is None, "
      "so that the corpus is not split: name the splits to score"
    )
