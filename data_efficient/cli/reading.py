# SPDX-License-Identifier: Apache-2.0
"""What `score` hands a scorer: texts, instructions or vectors, by parts.

A shard that cannot be read costs its own records: why is noted, and the next
shard follows.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from data_efficient.cli import instruction_reading, vector_reading
from data_efficient.cli import scope as scopes
from data_efficient.data import prepared
from data_efficient.data.corpora import CorpusError
from data_efficient.data.score_sets import PartKey
from data_efficient.scorers import interface, runner


class UnreadableError(ValueError):
  """Shards that could not be read when they were to be scored."""


class Key(NamedTuple):
  """Which part a request is for.

  Attributes:
    part: the part.
    readable: whether its records are there.
  """

  part: PartKey
  readable: bool


@runtime_checkable
class Reader(Protocol):
  """The records of a corpus as a scorer reads them."""

  def identity(self) -> dict[str, Any]:
    """What the score set says of it."""

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[interface.Batch]:
    """The records of a run of a split (`scope.Scope`), in blocks."""

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[interface.Batch]:
    """Yields the records of some parts, all of one shard, in their order."""

  def blank(self, records: int) -> interface.Batch:
    """So many records that nobody looks at."""


def reader_of(
  corpus: prepared.Prepared,
  scope: scopes.Scope,
  scorer: interface.Scorer,
  embeddings: str | None,
  embedder: interface.Scorer | None = None,
) -> Reader:
  """The reader of what a scorer reads.

  Raises:
    ValueError: it reads embeddings, and none are named, or twice; or prompts
      and responses, and the corpus has none.
  """
  if scorer.reads is interface.Reads.TEXT:
    return _Texts(corpus, scope)
  if scorer.reads is interface.Reads.INSTRUCTION:
    return instruction_reading.Instructions(corpus, scope, scorer.name)
  if (embeddings is None) == (embedder is None):
    raise ValueError(
      f"the scorer {scorer.name!r} reads embeddings: give either "
      "--gin.EMBEDDINGS=DIR (made by `score` with an embedder such as "
      "gin/scorers/minilm.gin) or --gin.RECOMPUTED=%EMBEDDER with that file"
    )
  reader = (
    vector_reading.Stored(corpus, scope, embeddings)
    if embedder is None
    else vector_reading.Recomputed(_Texts(corpus, scope), embedder)
  )
  if scorer.reads is interface.Reads.NUMBERED_EMBEDDING:
    return vector_reading.Numbered(corpus, scope, reader)
  return reader


class Requests:
  """The requests for some parts.

  Args:
    reader: of the records.
    fingerprints: of a shard's name, uint64 [records]: the corpus index's.
    requested: of a shard's name, bool [records].
    keep_unreadable: whether parts that cannot be read are requested all the
      same, without their records.

  Attributes:
    failed: shard to why it could not be read.
  """

  def __init__(
    self,
    reader: Reader,
    *,
    fingerprints: Callable[[str], np.ndarray],
    requested: Callable[[str], np.ndarray],
    keep_unreadable: bool,
  ):
    self._reader = reader
    # Results follow requests by a few parts: seldom more than two shards.
    self._known = functools.lru_cache(maxsize=4)(fingerprints)
    self._requested = functools.lru_cache(maxsize=4)(requested)
    self._keep_unreadable = keep_unreadable
    self.failed: dict[str, str] = {}

  def of(self, parts: Sequence[PartKey]) -> Iterator[runner.Request]:
    """Yields a request a part; a shard is read once, whatever its parts."""
    for shard, group in itertools.groupby(parts, key=lambda part: part.shard):
      waiting = list(group)
      if not any(self._mask(part).any() for part in waiting):
        yield from map(self._unread, waiting)
        continue
      batches = self._reader.shard(list(waiting), self._known(shard))
      try:
        for batch in batches:
          part = waiting.pop(0)
          yield runner.Request(Key(part, True), batch, self._mask(part))
      except (CorpusError, OSError) as error:
        self.failed[shard] = str(error)
        if self._keep_unreadable:
          yield from map(self._lost, waiting)

  def fingerprints(self, part: PartKey) -> np.ndarray:
    """Those of a part's records, uint64 [records]."""
    return self._known(part.shard)[part.start : part.start + part.records]

  def _mask(self, part: PartKey) -> np.ndarray:
    found = self._requested(part.shard)
    return found[part.start : part.start + part.records]

  def _unread(self, part: PartKey) -> runner.Request:
    """Of a part that nobody asked for: it is not even read."""
    nothing = np.zeros(part.records, bool)
    blank = self._reader.blank(part.records)
    return runner.Request(Key(part, True), blank, nothing)

  def _lost(self, part: PartKey) -> runner.Request:
    return self._unread(part)._replace(key=Key(part, False))


class _Texts:
  """The texts of a corpus."""

  def __init__(self, corpus: prepared.Prepared, scope: scopes.Scope):
    self._corpus, self._scope = corpus, scope

  def identity(self) -> dict[str, Any]:
    return {"kind": "text"}

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[list[str]]:
    texts = self._scope.texts(split, start, stop)
    while block := list(itertools.islice(texts, scopes.BLOCK)):
      yield block

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[list[str]]:
    shard, at = parts[0].shard, None
    for part in parts:
      if part.start != at:
        found = self._corpus.corpus.read(shard, part.start)
      at = part.start + part.records
      batch = [r.text for r in itertools.islice(found, part.records)]
      instruction_reading.check(part, batch, fingerprints[part.start : at])
      yield batch

  def blank(self, records: int) -> list[str]:
    return [""] * records
