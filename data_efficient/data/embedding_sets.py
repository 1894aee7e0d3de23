# SPDX-License-Identifier: Apache-2.0
"""Embedding sets: score sets with a vector a record, read as a stream.

The column "embedding" is float32 or float16, as the encoder's gin file says;
the identity names encoder and corpus. One file is held in memory at a time
(`score_sets.FILE_BYTES`), whatever the set's size.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_efficient.data import artifacts, score_sets
from data_efficient.data.artifacts import ArtifactError

COLUMN = "embedding"


class EmbeddingSet:
  """An embedding set that was written before. Every file read is verified.

  Args:
    scores: the score set.
  """

  def __init__(self, scores: score_sets.ScoreSet):
    self._scores = scores
    self._last: score_sets.ScoreFile | None = None

  def __getstate__(self) -> dict[str, Any]:
    """What another process needs: it reads its files itself."""
    return {**self.__dict__, "_last": None}

  @classmethod
  def open(cls, directory: artifacts.PathLike) -> "EmbeddingSet":
    """Opens a finished embedding set.

    Raises:
      ArtifactError: none is there, or it is unfinished or damaged.
    """
    return cls(score_sets.ScoreSet.open(directory))

  @property
  def encoder(self) -> dict[str, Any]:
    """What the vectors were made with."""
    return self._scores.identity["scorer"]

  @functools.cached_property
  def dimensions(self) -> int:
    """Of a vector."""
    shard = next(name for name, count in self._scores.shards.items() if count)
    return self._file(shard, 0).columns[COLUMN].shape[1]

  def check_corpus(self, description: dict[str, Any]) -> None:
    """Compares the corpus of the vectors with another.

    Raises:
      ArtifactError: they differ; says how.
    """
    self._scores.check_corpus(description)

  def take(self, shard: str, positions: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the vectors [n, d] at some positions, in blocks, in their order.

    NaN where a record has none.

    Args:
      shard: name of a shard.
      positions: ascending.

    Raises:
      ArtifactError: no such shard or position, no vectors in this score set,
        or a missing or damaged file.
    """
    done = 0
    while done < len(positions):
      file = self._file(shard, int(positions[done]))
      vectors = file.columns[COLUMN]
      end = np.searchsorted(positions, file.start + len(vectors))
      yield vectors[positions[done:end] - file.start]
      done = int(end)

  def _file(self, shard: str, position: int) -> score_sets.ScoreFile:
    """The file that holds a record; the last one is kept."""
    last = self._last
    if last and last.shard == shard:
      if 0 <= position - last.start < len(last.columns[COLUMN]):
        return last
    self._last = None  # before the next is there, too
    for file in self._scores.shard_files(shard, [COLUMN], start=position):
      self._last = file
      return file
    raise ArtifactError(
      f"the embedding set has no record {position} of shard {shard!r}"
    )
