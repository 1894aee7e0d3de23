# SPDX-License-Identifier: Apache-2.0
"""Vectors for a scorer: of an embedding set, or made anew in every pass."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_efficient.cli import scope as scopes
from data_efficient.data import embedding_sets, prepared
from data_efficient.data.score_sets import PartKey
from data_efficient.scorers import interface, runner


class Stored:
  """The vectors of an embedding set, streamed."""

  def __init__(
    self, corpus: prepared.Prepared, scope: scopes.Scope, directory: str
  ):
    self._scope = scope
    self._set = embedding_sets.EmbeddingSet.open(directory)
    self._set.check_corpus(corpus.index.describe())

  def identity(self) -> dict[str, Any]:
    """What the score set says of it."""
    return {"kind": "embedding", "embedding": self._set.encoder}

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[np.ndarray]:
    """The records of a run of a split, in blocks."""
    for shard, positions in self._scope.positions(split, start, stop):
      # A record that could not be embedded has NaN; scorers say so of it.
      for at in range(0, len(positions), scopes.BLOCK):
        yield from self._set.take(shard, positions[at : at + scopes.BLOCK])

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[np.ndarray]:
    """Yields the records of some parts, all of one shard."""
    del fingerprints  # the score set was checked as a whole
    for part in parts:
      positions = np.arange(part.start, part.start + part.records)
      yield np.concatenate([*self._set.take(part.shard, positions)])

  def blank(self, records: int) -> np.ndarray:
    """So many records that nobody looks at."""
    return np.full((records, self._set.dimensions), np.nan, np.float32)


class Recomputed:
  """The vectors that an embedder makes of texts, again in every pass.

  A pass groups its records otherwise than another: vectors agree within 1e-5.

  Args:
    texts: the reader of the corpus's texts.
    embedder: a scorer with a column "embedding".
  """

  def __init__(
    self,
    texts: Any,
    embedder: interface.Scorer,
  ):
    self._texts, self._embedder = texts, embedder
    embedder.prepare(texts.stream)

  def identity(self) -> dict[str, Any]:
    """What the score set says of it."""
    return {"kind": "embedding", "embedding": self._embedder.identity()}

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[np.ndarray]:
    """The records of a run of a split, in blocks.

    Those of the whole split: whoever reads a run has the same bits.
    """
    block = scopes.BLOCK
    at = start - start % block
    end = None if stop is None else -(-stop // block) * block
    for vectors in self._embedded(self._texts.stream(split, at, end)):
      last = None if stop is None else stop - at
      yield vectors[max(start - at, 0) : last]
      at += len(vectors)

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[np.ndarray]:
    """Yields the records of some parts, all of one shard."""
    return self._embedded(self._texts.shard(parts, fingerprints))

  def _embedded(self, batches: Iterator[list[str]]) -> Iterator[np.ndarray]:
    requests = (
      runner.Request(None, batch, np.ones(len(batch), bool))
      for batch in batches
    )
    for _, scores in runner.run(self._embedder, requests):
      vectors = scores.columns[embedding_sets.COLUMN]
      scored = [status == interface.SCORED for status in scores.statuses]
      yield np.where(np.array(scored)[:, None], vectors, np.nan)

  def blank(self, records: int) -> np.ndarray:
    """So many records that nobody looks at."""
    (nothing,) = self._embedded(iter([[""]]))
    return np.repeat(nothing, records, axis=0)


class Numbered:
  """Vectors with the numbers of their records, in the corpus's order."""

  def __init__(
    self,
    corpus: prepared.Prepared,
    scope: scopes.Scope,
    vectors: Stored | Recomputed,
  ):
    self._scope, self._vectors = scope, vectors
    shards = corpus.index.shards
    starts = np.cumsum([0, *shards.values()])[:-1]
    self._starts = dict(zip(shards, starts.tolist(), strict=True))

  def identity(self) -> dict[str, Any]:
    """What the score set says of it."""
    return self._vectors.identity()

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[np.ndarray]:
    """The records of a run of a split, in blocks."""
    runs = self._scope.positions(split, start, stop)
    waiting = np.zeros(0, np.int64)
    for block in self._vectors.stream(split, start, stop):
      while len(waiting) < len(block):
        shard, positions = next(runs)
        waiting = np.concatenate([waiting, self._starts[shard] + positions])
      yield _numbered(waiting[: len(block)], block)
      waiting = waiting[len(block) :]

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[np.ndarray]:
    """Yields the records of some parts, all of one shard."""
    found = self._vectors.shard(parts, fingerprints)
    for part, block in zip(parts, found, strict=True):
      first = self._starts[part.shard] + part.start
      yield _numbered(np.arange(first, first + part.records), block)

  def blank(self, records: int) -> np.ndarray:
    """So many records that nobody looks at."""
    return _numbered(np.zeros(records, int), self._vectors.blank(records))


def _numbered(numbers: np.ndarray, vectors: np.ndarray) -> np.ndarray:
  kinds = [("record", np.int64), ("vector", vectors.dtype, vectors.shape[1:])]
  found = np.empty(len(vectors), kinds)
  found["record"], found["vector"] = numbers, vectors
  return found
