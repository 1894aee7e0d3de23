# SPDX-License-Identifier: Apache-2.0
"""Score sets: one status and some numbers for every record of a corpus.

Parts are Parquet files of up to `part_records` records of one shard, in the
corpus's order, with the columns position, fingerprint, status, score and the
scorer's own. A record without a score has a status that says why, and null in
every column; so a failure never looks like a score.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import artifacts, score_columns
from data_efficient.data.artifacts import ArtifactError
from data_efficient.scorers import interface

KIND = "score_set"
SCORED = score_columns.SCORED
NOT_REQUESTED = score_columns.NOT_REQUESTED
unscorable = interface.unscorable


class PartKey(NamedTuple):
  """One part: the records [start, start + records) of a shard.

  Attributes:
    shard: name of the shard.
    number: number of the part in its shard.
    start: position of its first record.
    records: how many records.
  """

  shard: str
  number: int
  start: int
  records: int


class ScorePart(NamedTuple):
  """What `ScoreSet.iterate` yields: a part and its columns."""

  key: PartKey
  columns: dict[str, np.ndarray]


class ScoreSet:
  """A score set that was written before. Every part read is verified.

  Args:
    manifest: manifest of a finished score set.

  Raises:
    ArtifactError: a record is missing.
  """

  def __init__(self, manifest: artifacts.Manifest):
    self._manifest = manifest
    keys = part_keys(self.shards, manifest.identity["part_records"])
    if set(keys) != set(manifest.parts):
      differing = sorted(set(keys) ^ set(manifest.parts))
      raise ArtifactError(
        f"{manifest.directory}: parts do not cover the corpus: "
        f"{', '.join(differing[:5])}: run the scorer again"
      )
    self._keys = keys

  @classmethod
  def open(cls, directory: artifacts.PathLike) -> "ScoreSet":
    """Opens a finished score set.

    Raises:
      ArtifactError: none is there, or it is unfinished or damaged.
    """
    return cls(artifacts.read_manifest(directory, kind=KIND))

  @property
  def identity(self) -> dict[str, Any]:
    """Corpus, scorer, numerics and so on that it was made from."""
    return self._manifest.identity

  @property
  def summary(self) -> dict[str, Any]:
    """Figures that the scorer left."""
    found = self._manifest.summary
    return {name: found[name] for name in found if name != "shards"}

  @functools.cached_property
  def shards(self) -> dict[str, int]:
    """Records in each shard, in the corpus's order."""
    return dict(self._manifest.summary["shards"])

  @property
  def scored(self) -> int:
    """Records with status "scored"."""
    return sum(facts["scored"] for facts in self._manifest.parts.values())

  def check_corpus(self, description: dict[str, Any]) -> None:
    """Compares the corpus of the scores with another.

    Args:
      description: `CorpusIndex.describe()` of the corpus at hand.

    Raises:
      ArtifactError: they differ; names fingerprint, shards and counts.
    """
    self._manifest.check_corpus(description)

  def shard_column(self, shard: str, name: str) -> np.ndarray:
    """Returns one column of one shard; see `iterate`.

    Raises:
      ArtifactError: no such shard or column, or a missing or damaged part.
    """
    if shard not in self.shards:
      raise ArtifactError(
        f"{self._manifest.directory}: no shard {shard!r} in the score set"
      )
    blocks = [self._read(part, [name])[name] for part in self._of[shard]]
    return score_columns.joined({shard: blocks})[shard]

  def iterate(self, columns: Sequence[str]) -> Iterator[ScorePart]:
    """Yields the parts in the corpus's order.

    Args:
      columns: names, of which "position", "fingerprint" and "status" are
        always there. Where a record has no score, floats are NaN; a column of
        integers is read as float64 if any record of the set has no score.

    Raises:
      ArtifactError: no such column, or a missing or damaged part.
    """
    for part, key in self._keys.items():
      yield ScorePart(key, self._read(part, columns))

  def read(self, columns: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Returns for each column an array a shard; see `iterate`."""
    blocks: dict[str, dict[str, list[np.ndarray]]] = {
      name: {shard: [] for shard in self.shards} for name in columns
    }
    for part in self.iterate(columns):
      for name, values in part.columns.items():
        blocks[name][part.key.shard].append(values)
    return {
      name: score_columns.joined(shards) for name, shards in blocks.items()
    }

  @functools.cached_property
  def _of(self) -> dict[str, list[str]]:
    """The parts of each shard."""
    found: dict[str, list[str]] = {shard: [] for shard in self.shards}
    for part, key in self._keys.items():
      found[key.shard].append(part)
    return found

  @functools.cached_property
  def _gaps(self) -> bool:
    return self.scored < sum(self.shards.values())

  def _read(self, part: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    table = self._manifest.read_table(part, columns=list(columns))
    return {
      name: score_columns.to_numpy(table, name, gaps=self._gaps)
      for name in columns
    }

  def statuses(self) -> dict[str, np.ndarray]:
    """Returns the statuses of each shard, objects of type str."""
    return self.read(["status"])["status"]


def part_keys(
  shards: Mapping[str, int], part_records: int
) -> dict[str, PartKey]:
  """Returns the parts of a score set by their file names, in corpus order."""
  return {
    f"{number:05d}-{index:05d}.parquet": PartKey(
      shard, index, start, min(part_records, records - start)
    )
    for number, (shard, records) in enumerate(shards.items())
    for index, start in enumerate(range(0, records, part_records))
  }
