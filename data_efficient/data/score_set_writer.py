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
    self._keys = score_sets.part_keys(shards, part_records)
    self._names = {key: name for name, key in self._keys.items()}
    self._shards = dict(shards)
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
    return [
      key for part, key in self._keys.items() if not self._writer.has(part)
    ]

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

  def finish(self, **summary: Any) -> None:
    """Marks the score set as complete.

    Args:
      **summary: JSON-able figures to keep in the manifest.

    Raises:
      ArtifactError: parts are missing.
    """
    self._writer.gather()
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

  def _name(self, part: score_sets.PartKey) -> str:
    if part in self._names:
      return self._names[part]
    raise ArtifactError(
      f"{self._writer.directory}: {part} is no part of this score set"
    )
