# SPDX-License-Identifier: Apache-2.0
"""The writer of score sets, part by part, in any order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from data_efficient.data import artifacts, score_columns, score_sets
from data_efficient.data.artifacts import ArtifactError


class ScoreSetWriter:
  """Writes a score set part by part, in any order, and resumes.

  Args:
    directory: where it goes.
    identity: {"corpus": `CorpusIndex.describe()`, "scorer", "numerics", …};
      part_records is added.
    shards: records in each shard, in the corpus's order.
    part_records: records a part, from 1.
    member: which of several processes that write it together, see
      `artifacts.Writer`.

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
    member: int = 0,
  ):
    if part_records < 1 or "corpus" not in identity:
      raise ArtifactError(
        f"{directory}: part_records = {part_records} and identity with "
        f"{', '.join(identity)}; expected at least 1, and a corpus"
      )
    keys = score_sets.part_keys(shards, part_records)
    self._names = {key: name for name, key in keys.items()}
    self._shards, self._size = dict(shards), part_records
    identity = {**identity, "part_records": part_records}
    self._writer = artifacts.Writer(
      directory, kind=score_sets.KIND, identity=identity, member=member
    )

  @property
  def complete(self) -> bool:
    """Whether nothing is left to do."""
    return self._writer.complete

  def missing_parts(self) -> list[score_sets.PartKey]:
    """Returns the parts that are still to be written, in corpus order."""
    done = {
      (shard, start)
      for shard, found in self._files().items()
      for file in found
      for start in range(file.start, file.start + file.records, self._size)
    }
    return [key for key in self._names if (key.shard, key.start) not in done]

  def write(
    self,
    part: score_sets.PartKey,
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
    scored = np.array(
      [status == score_columns.SCORED for status in statuses], bool
    )
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

  def merge(self, *, share: int = 0, of: int = 1) -> None:
    """Merges small parts of the shards that have all of theirs.

    `finish` does, too; processes that write a score set together do it sooner
    if each takes a share, after all have written their parts.

    Args:
      share: which part of the shards, from 0.
      of: how many.
    """
    self._writer.gather()
    for shard, found in list(self._files().items())[share::of]:
      if score_sets.covered(found) == self._shards[shard]:
        self._merge(shard, found)

  def finish(self, **summary: Any) -> None:
    """Merges small parts, then marks the score set as complete.

    Args:
      **summary: JSON-able figures to keep in the manifest.

    Raises:
      ArtifactError: parts are missing.
    """
    self.merge()
    missing = self.missing_parts()
    if missing:
      raise ArtifactError(
        f"{self._writer.directory}: {len(missing)} of {len(self._names)} parts "
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

  def _files(self) -> dict[str, list[score_sets.File]]:
    return score_sets.files(self._writer.manifest, self._shards)

  def _merge(self, shard: str, found: list[score_sets.File]) -> None:
    """Parts to larger files; which ones depends on their bytes alone."""
    group: list[score_sets.File] = []
    size = end = 0
    for file in found:
      if file.start < end:
        # Its rows are in a larger file: a writer was killed as it merged.
        self._writer.remove([file.name])
        continue
      end = file.start + file.records
      more = self._writer.manifest.parts[file.name]["bytes"]
      if file.records > self._size or size + more > score_sets.FILE_BYTES:
        self._write_merged(shard, group)
        group, size = [], 0
      if file.records <= self._size:
        group.append(file)
        size += more
    self._write_merged(shard, group)

  def _write_merged(self, shard: str, group: list[score_sets.File]) -> None:
    if len(group) < 2:
      return
    names = [file.name for file in group]
    parts = self._writer.manifest.parts
    self._writer.merge(
      f"{names[0].removesuffix('.parquet')}-{names[-1].split('-')[1]}",
      names,
      shard=shard,
      start=group[0].start,
      scored=sum(parts[name]["scored"] for name in names),
    )

  def _name(self, part: score_sets.PartKey) -> str:
    if part in self._names:
      return self._names[part]
    raise ArtifactError(
      f"{self._writer.directory}: {part} is no part of this score set"
    )
