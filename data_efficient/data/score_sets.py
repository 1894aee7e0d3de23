# SPDX-License-Identifier: Apache-2.0
"""Score sets: one status and some numbers for every record of a corpus.

Parts are Parquet files of up to `part_records` records of one shard, in the
corpus's order, with the columns position, fingerprint, status, score and the
scorer's own. In a finished set neighbours are merged to files of `FILE_BYTES`:
C4, at 1,024 records a part, has 356,000 of them. A record without a score has a
status that says why, and null in every column; so a failure never looks like a
score.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import artifacts, score_columns
from data_efficient.data.artifacts import ArtifactError
from data_efficient.scorers import interface

KIND = "score_set"
FILE_BYTES = 2**26
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


class ScoreFile(NamedTuple):
  """What `ScoreSet.iterate` yields: neighbouring records of a shard."""

  shard: str
  start: int
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
    self._files = files(manifest, self.shards)
    for shard, records in self.shards.items():
      found = self._files[shard]
      end = covered(found)
      if end != records or sum(file.records for file in found) != records:
        raise ArtifactError(
          f"{manifest.directory}: parts do not cover the corpus: shard "
          f"{shard!r} from record {end} on: run the scorer again"
        )

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
    blocks = [
      self._read(file.name, [name])[name] for file in self._files[shard]
    ]
    return score_columns.joined({shard: blocks})[shard]

  def iterate(self, columns: Sequence[str]) -> Iterator[ScoreFile]:
    """Yields the records in the corpus's order, a file at a time.

    Args:
      columns: names, of which "position", "fingerprint" and "status" are
        always there. Where a record has no score, floats are NaN; a column of
        integers is read as float64 if any record of the set has no score.

    Raises:
      ArtifactError: no such column, or a missing or damaged part.
    """
    for shard, found in self._files.items():
      for file in found:
        yield ScoreFile(shard, file.start, self._read(file.name, columns))

  def shard_files(
    self, shard: str, columns: Sequence[str], *, start: int = 0
  ) -> Iterator[ScoreFile]:
    """Yields a shard's files, from the one that holds a position on.

    Raises:
      ArtifactError: no such shard or column, or a missing or damaged part.
    """
    if shard not in self.shards:
      raise ArtifactError(
        f"{self._manifest.directory}: no shard {shard!r} in the score set"
      )
    for file in self._files[shard]:
      if file.start + file.records > start:
        yield ScoreFile(shard, file.start, self._read(file.name, columns))

  def read(self, columns: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Returns for each column an array a shard; see `iterate`."""
    blocks: dict[str, dict[str, list[np.ndarray]]] = {
      name: {shard: [] for shard in self.shards} for name in columns
    }
    for part in self.iterate(columns):
      for name, values in part.columns.items():
        blocks[name][part.shard].append(values)
    return {
      name: score_columns.joined(shards) for name, shards in blocks.items()
    }

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


class File(NamedTuple):
  """One file of a score set: one part, or some that were merged.

  Attributes:
    start: position of its first record in its shard.
    records: how many records.
    name: its name.
  """

  start: int
  records: int
  name: str


def files(
  manifest: artifacts.Manifest, shards: Iterable[str]
) -> dict[str, list[File]]:
  """Returns the files of each shard, in the corpus's order.

  Of two that begin with the same record, the longer one is first.
  """
  found: dict[str, list[File]] = {shard: [] for shard in shards}
  for name, facts in manifest.parts.items():
    found[facts["shard"]].append(File(facts["start"], facts["records"], name))
  for listed in found.values():
    listed.sort(key=lambda file: (file.start, -file.records))
  return found


def covered(found: Iterable[File]) -> int:
  """Records of a shard, from its first one, that its files have no gap in."""
  end = 0
  for file in found:
    if file.start > end:
      break
    end = max(end, file.start + file.records)
  return end
