# SPDX-License-Identifier: Apache-2.0
"""Which records a score set asks for: those of some splits, or all."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from data_efficient.data import prepared, selections


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


def of(
  corpus: prepared.Prepared,
  splits: Sequence[str] | str | None,
  selection: str | None,
) -> Scope:
  """The scope of some splits, or of none: all records.

  Args:
    corpus: what is scored.
    splits: their names, or None.
    selection: directory of a selection, outside of which nothing is scored: a
      costly scorer after a cheap one.

  Raises:
    ValueError: an empty list of splits, or an unknown one; a selection of
      another corpus.
  """
  names = (splits,) if isinstance(splits, str) else splits and tuple(splits)
  if names is not None and not names:
    raise ValueError(
      "SCORED_SPLITS is empty: name splits, or None for all records"
    )
  whole = _Whole(corpus) if names is None else _Splits(corpus, names)
  if selection is None:
    return whole
  return _Selected(corpus, whole, selections.Selection.open(selection))


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


class _Selected:
  """Of another scope, the records that a selection kept."""

  def __init__(
    self,
    corpus: prepared.Prepared,
    scope: Scope,
    selection: selections.Selection,
  ):
    selection.check_corpus(corpus.index.describe())
    self._scope, self._selection = scope, selection

  def identity(self) -> dict[str, Any]:
    return {
      "splits": self._scope.identity(),
      "selection": self._selection.identity,
    }

  def mask(self) -> dict[str, np.ndarray]:
    return {
      shard: mask & self._selection.mask(shard)
      for shard, mask in self._scope.mask().items()
    }

  # What a scorer learns from does not shrink with what it scores.

  def records(self, split: str) -> int:
    return self._scope.records(split)

  def texts(self, split: str) -> Iterator[str]:
    return self._scope.texts(split)

  def positions(self, split: str) -> dict[str, np.ndarray]:
    return self._scope.positions(split)


def _check_pool(split: str) -> None:
  if split != "pool":
    raise ValueError(
      f"the scorer learns from the split {split!r}, but SCORED_SPLITS is None, "
      "so that the corpus is not split: name the splits to score"
    )
