# SPDX-License-Identifier: Apache-2.0
"""The kept records of a corpus by number: what the index serving reads.

`KeptRecords` has `__len__` and `__getitem__`, so that it is a source for Grain
as it is (`grain.MapDataset.source(reader)`); `index_source` serves it to seqio.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np

from data_efficient.data import artifacts, records
from data_efficient.data.corpora import Corpus, CorpusError, RandomAccess
from data_efficient.data.corpus_index import CorpusIndex
from data_efficient.data.selections import Selection


class KeptRecord(TypedDict):
  """A record and its weight in the selection."""

  text: str
  shard: str
  position: int
  weight: float


# (shard, numbers among the shard's kept records, their positions) -> texts
Texts = Callable[[str, np.ndarray, np.ndarray], list[str]]


class KeptRecords:
  """The records that a selection keeps, in the corpus's order.

  Every text is compared with its fingerprint in the index when it is read.
  Safe to read in many threads; no file stays open.

  Args:
    selection: which records.
    index: of the corpus.
    texts: how they are read; see `by_random_access` and `in_memory`.

  Raises:
    CorpusError: no record is kept.
    ArtifactError: a part of the selection is missing or damaged.
  """

  def __init__(self, selection: Selection, index: CorpusIndex, texts: Texts):
    if not selection.records:
      raise CorpusError(nothing_kept(selection))
    self._shards = list(selection.shards)
    self._positions = [selection.positions(shard) for shard in self._shards]
    self._weights = [selection.weights(shard) for shard in self._shards]
    self._starts = np.cumsum([0, *map(len, self._positions)])
    self._texts = texts
    self._fingerprint = functools.cache(
      lambda shard: index.shard_column(shard, "fingerprint")[
        selection.positions(shard)
      ]
    )

  def __len__(self) -> int:
    return int(self._starts[-1])

  def __getitem__(self, number: int) -> KeptRecord:
    return self.__getitems__([number])[0]

  def __getitems__(self, numbers: Sequence[int]) -> list[KeptRecord]:
    """Several records at once, each shard's file opened once.

    Raises:
      IndexError: a number that is not in 0 … len - 1.
      CorpusError: a record that is damaged or not the one that was indexed;
        names file and row.
    """
    wanted = np.asarray(numbers, np.int64)
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(self):
      raise IndexError(f"records {wanted} of {len(self)}")
    owners = np.searchsorted(self._starts, wanted, side="right") - 1
    found: list[KeptRecord | None] = [None] * len(wanted)
    for owner in np.unique(owners).tolist():
      places = np.flatnonzero(owners == owner)
      rows = wanted[places] - self._starts[owner]
      for place, record in zip(
        places.tolist(), self._read(owner, rows), strict=True
      ):
        found[place] = record
    return found

  def _read(self, owner: int, rows: np.ndarray) -> list[KeptRecord]:
    shard = self._shards[owner]
    positions = self._positions[owner][rows]
    texts = self._texts(shard, rows, positions)
    positions = positions.tolist()
    known = self._fingerprint(shard)[rows].tolist()
    for position, text, expected in zip(positions, texts, known, strict=True):
      check_text(shard, position, text, expected)
    weights = self._weights[owner][rows].tolist()
    return [
      KeptRecord(text=text, shard=shard, position=position, weight=weight)
      for text, position, weight in zip(texts, positions, weights, strict=True)
    ]


def by_random_access(
  corpus: Corpus, index: CorpusIndex, selection: Selection
) -> KeptRecords:
  """Reads each kept record where it lies; nothing else of the corpus.

  Raises:
    CorpusError: nothing is kept, or the corpus's files do not allow it; says
      what to do.
    ArtifactError: the index or the selection is damaged or too old.
  """
  if not isinstance(corpus, RandomAccess):
    raise CorpusError(
      f"single records of the corpus {index.name!r} cannot be read: serve by "
      "the filter (SERVING = 'filter')"
    )
  corpus.check_random_access()
  return KeptRecords(selection, index, _Direct(corpus, index, selection).read)


def in_memory(
  corpus: Corpus, index: CorpusIndex, selection: Selection
) -> KeptRecords:
  """Holds all kept texts in memory after one pass over their shards.

  For small selections of files that can be read from the start only.

  Raises:
    CorpusError: nothing is kept.
    ArtifactError: the index or the selection is damaged.
  """
  return KeptRecords(selection, index, _Held(corpus, selection).read)


def allows_random_access(corpus: Corpus) -> bool:
  """Whether `by_random_access` can read the corpus."""
  if not isinstance(corpus, RandomAccess):
    return False
  try:
    corpus.check_random_access()
  except CorpusError:
    return False
  return True


def check_text(shard: str, position: int, text: str, expected: int) -> None:
  """Raises CorpusError unless a text has its fingerprint in the index."""
  if records.fingerprint(text) != expected:
    raise CorpusError(
      f"{shard}, row {position}: the text is not the one that was indexed: the "
      "file has changed since. Bring the old file back; or index, score and "
      "select anew in other directories"
    )


def nothing_kept(selection: Selection) -> str:
  """What is said of a selection without records."""
  return (
    f"{selection.directory}: the selection keeps no record of the corpus: "
    "nothing to train on; select with a larger budget"
  )


class _Direct:
  """Reads records one by one."""

  def __init__(
    self, corpus: RandomAccess, index: CorpusIndex, selection: Selection
  ):
    self._corpus = corpus
    self._offsets = functools.cache(
      lambda shard: _offsets(index, shard)[selection.positions(shard)]
    )
    # At once, so that an index that is too old is refused before training.
    self._offsets(next(iter(selection.shards)))

  def read(
    self, shard: str, rows: np.ndarray, positions: np.ndarray
  ) -> list[str]:
    offsets = self._offsets(shard)[rows]
    return self._corpus.fetch(shard, positions.tolist(), offsets.tolist())


class _Held:
  """Reads a shard's kept records when the first of them is asked for."""

  def __init__(self, corpus: Corpus, selection: Selection):
    self._read_shard = functools.cache(
      functools.partial(_kept_texts, corpus, selection)
    )

  def read(
    self, shard: str, rows: np.ndarray, positions: np.ndarray
  ) -> list[str]:
    del positions
    texts = self._read_shard(shard)
    return [texts[row] for row in rows.tolist()]


def _offsets(index: CorpusIndex, shard: str) -> np.ndarray:
  try:
    return index.shard_column(shard, "offset")
  except artifacts.ArtifactError as error:
    raise artifacts.ArtifactError(
      f"{error}\nAn index without byte offsets was made by an earlier version: "
      "delete its directory and run the command again, it is made anew"
    ) from error


def _kept_texts(corpus: Corpus, selection: Selection, shard: str) -> list[str]:
  positions = selection.positions(shard).tolist()
  wanted = set(positions)
  texts = []
  for record in corpus.read(shard):
    if record.position in wanted:
      texts.append(record.text)
    if record.position == positions[-1]:
      break
  if len(texts) != len(positions):
    raise CorpusError(
      f"{shard}: the file ends before row {positions[-1]}, which the selection "
      "keeps: the file has changed since it was scored; bring it back"
    )
  return texts
