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
import pyarrow as pa

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


class ScoreSetWriter:
  """Writes a score set part by part, in any order, and resumes.

  Args:
    directory: where it goes.
    identity: {"corpus": `CorpusIndex.describe()`, "scorer", "numerics", …};
      part_records is added.
    shards: records in each shard, in the corpus's order.
    part_records: records a part, from 1.

  Raises:
    ArtifactError: another writer works there, or a score set of another
      identity lies there; names what differs.
  """

  def __init__(
    self,
    directory: artifacts.PathLike,
    *,
    identity: dict[str, Any],
    shards: Mapping[str, int],
    part_records: int,
  ):
    if part_records < 1 or "corpus" not in identity:
      raise ArtifactError(
        f"{directory}: part_records = {part_records} and identity with "
        f"{', '.join(identity)}; expected at least 1, and a corpus"
      )
    self._keys = _part_keys(shards, part_records)
    self._shards = dict(shards)
    identity = {**identity, "part_records": part_records}
    self._writer = artifacts.Writer(directory, kind=KIND, identity=identity)

  @property
  def complete(self) -> bool:
    """Whether nothing is left to do."""
    return self._writer.complete

  def missing_parts(self) -> list[PartKey]:
    """Returns the parts that are still to be written, in corpus order."""
    return [
      key for part, key in self._keys.items() if not self._writer.has(part)
    ]

  def write(
    self,
    part: PartKey,
    *,
    fingerprints: np.ndarray,
    statuses: Sequence[str],
    columns: Mapping[str, np.ndarray],
  ) -> None:
    """Writes one part.

    Args:
      part: one of `missing_parts()`.
      fingerprints: uint64 [records].
      statuses: "scored", "not_requested" or "unscorable(reason)" [records].
      columns: "score" (float32) and others: [records] of numbers or
        [records, dimensions] of floats. Values of records that are not scored
        are dropped.

    Raises:
      ArtifactError: wrong lengths, an unknown status, or NaN in a scored
        record; names shard, position and column.
    """
    name = self._name(part)
    where = f"{self._writer.directory}, shard {part.shard}"
    score_columns.check_lengths(
      f"{where}, part {part.number}",
      part.records,
      fingerprints,
      statuses,
      columns,
    )
    score_columns.check_statuses(where, part.start, statuses)
    scored = np.array([status == SCORED for status in statuses], bool)
    arrays: dict[str, Any] = {
      "position": np.arange(part.start, part.start + part.records),
      "fingerprint": np.asarray(fingerprints, np.uint64),
      "status": pa.array(statuses, pa.string()),
    }
    for column, values in columns.items():
      score_columns.check_numbers(
        f"{where}, column {column}", part.start, values, scored
      )
      arrays[column] = score_columns.to_arrow(values, scored)
    self._writer.write_table(
      name,
      pa.table(arrays),
      shard=part.shard,
      start=part.start,
      scored=int(scored.sum()),
    )

  def finish(self, **summary: Any) -> None:
    """Marks the score set as complete.

    Args:
      **summary: JSON-able figures to keep in the manifest.

    Raises:
      ArtifactError: parts are missing.
    """
    missing = self.missing_parts()
    if missing:
      raise ArtifactError(
        f"{self._writer.directory}: {len(missing)} of {len(self._keys)} parts "
        f"are missing, the first is {missing[0]}: run the scorer again"
      )
    shards = list(self._shards.items())  # pairs, since JSON sorts its keys
    self._writer.finish(**summary, shards=shards)

  def close(self) -> None:
    """Gives the directory free for another writer."""
    self._writer.close()

  def __enter__(self) -> "ScoreSetWriter":
    return self

  def __exit__(self, *unused: object) -> None:
    self.close()

  def _name(self, part: PartKey) -> str:
    for name, key in self._keys.items():
      if key == part:
        return name
    raise ArtifactError(
      f"{self._writer.directory}: {part} is no part of this score set"
    )


class ScoreSet:
  """A score set that was written before. Every part read is verified.

  Args:
    manifest: manifest of a finished score set.

  Raises:
    ArtifactError: a record is missing.
  """

  def __init__(self, manifest: artifacts.Manifest):
    self._manifest = manifest
    keys = _part_keys(self.shards, manifest.identity["part_records"])
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


def _part_keys(
  shards: Mapping[str, int], part_records: int
) -> dict[str, PartKey]:
  return {
    f"{number:05d}-{index:05d}.parquet": PartKey(
      shard, index, start, min(part_records, records - start)
    )
    for number, (shard, records) in enumerate(shards.items())
    for index, start in enumerate(range(0, records, part_records))
  }
