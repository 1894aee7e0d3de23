# SPDX-License-Identifier: Apache-2.0
"""Which records a score set asks for: those of some splits, or all."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from data_efficient.data import corpora, prepared, selections

BLOCK = 1024  # records that streams hand on at once


@runtime_checkable
class Scope(Protocol):
  """The records to score, and the ones that a scorer may look at before.

  A run [start, stop) of a split counts its records in the corpus's order, from
  0; a stop of None is its end.
  """

  def identity(self) -> Any:
    """What the score set says of it, JSON-able."""

  def mask(self, shard: str) -> np.ndarray:
    """Bool [records]: which records of a shard are scored."""

  def records(self, split: str) -> int:
    """How many a split has."""

  def texts(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[str]:
    """The texts of a run of a split, in the corpus's order."""

  def positions(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each shard of a run, and the positions there, ascending."""


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

  def mask(self, shard: str) -> np.ndarray:
    mask = np.zeros(self._corpus.index.shards[shard], bool)
    for corpus, selection in map(self._corpus.split, self._names):
      # A split of a separate corpus has no record of this one.
      if corpus is self._corpus.corpus:
        mask |= selection.mask(shard)
    return mask

  def records(self, split: str) -> int:
    return self._corpus.split(split).selection.records

  def texts(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[str]:
    found = self.positions(split, start, stop)
    return _texts(self._corpus.split(split).corpus, found)

  def positions(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[tuple[str, np.ndarray]]:
    selection = self._corpus.split(split).selection
    for shard, run in _cut(selection.kept, start, stop):
      yield shard, selection.positions(shard)[run]


class _Whole:
  """All records, with no splits made: the pool is the corpus."""

  def __init__(self, corpus: prepared.Prepared):
    self._corpus = corpus

  def identity(self) -> str:
    return "none: all records of the corpus"

  def mask(self, shard: str) -> np.ndarray:
    return np.ones(self._corpus.index.shards[shard], bool)

  def records(self, split: str) -> int:
    _check_pool(split)
    return self._corpus.index.records

  def texts(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[str]:
    return _texts(self._corpus.corpus, self.positions(split, start, stop))

  def positions(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[tuple[str, np.ndarray]]:
    _check_pool(split)
    shards = self._corpus.index.shards
    for shard, run in _cut(shards, start, stop):
      yield shard, np.arange(run.start, run.stop)


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

  def mask(self, shard: str) -> np.ndarray:
    return self._scope.mask(shard) & self._selection.mask(shard)

  # What a scorer learns from does not shrink with what it scores.

  def records(self, split: str) -> int:
    return self._scope.records(split)

  def texts(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[str]:
    return self._scope.texts(split, start, stop)

  def positions(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[tuple[str, np.ndarray]]:
    return self._scope.positions(split, start, stop)


def _cut(
  shards: Mapping[str, int], start: int, stop: int | None
) -> Iterator[tuple[str, slice]]:
  """Yields what a run has of each shard, by the shards' records."""
  ends = itertools.accumulate(shards.values())
  for (shard, records), end in zip(shards.items(), ends, strict=True):
    first = max(start - (end - records), 0)
    last = records if stop is None else min(stop - (end - records), records)
    if first < last:
      yield shard, slice(first, last)


def _texts(
  corpus: corpora.Corpus, runs: Iterator[tuple[str, np.ndarray]]
) -> Iterator[str]:
  for shard, positions in runs:
    first, last = int(positions[0]), int(positions[-1])
    kept = np.zeros(last + 1 - first, bool)
    kept[positions - first] = True
    for wanted, record in zip(kept, corpus.read(shard, first), strict=False):
      if wanted:
        yield record.text


def _check_pool(split: str) -> None:
  if split != "pool":
    raise ValueError(
      f"the scorer learns from the split {split!r}, but SCORED_SPLITS is None, "
      "so that the corpus is not split: name the splits to score"
    )
