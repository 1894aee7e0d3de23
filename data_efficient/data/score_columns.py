# SPDX-License-Identifier: Apache-2.0
"""Columns of a score set: NumPy arrays to Arrow arrays with gaps, and back."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from data_efficient.data.artifacts import ArtifactError
from data_efficient.scorers import interface

SCORED = interface.SCORED
NOT_REQUESTED = interface.NOT_REQUESTED
KEYS = ("position", "fingerprint", "status")
_STATUS = re.compile(r"scored|not_requested|unscorable\(.+\)")


def check_statuses(where: str, start: int, statuses: Sequence[str]) -> None:
  """Raises ArtifactError for a status that is none, by position."""
  wrong = {text for text in set(statuses) if not _STATUS.fullmatch(text)}
  for position, status in enumerate(statuses if wrong else (), start):
    if status in wrong:
      raise ArtifactError(
        f"{where}, position {position}: status {status!r}; expected scored, "
        "not_requested or unscorable(reason)"
      )


def check_numbers(
  where: str, start: int, values: np.ndarray, scored: np.ndarray
) -> None:
  """Checks one column before it is written.

  Args:
    where: directory, shard and column, for the message.
    start: position of the first record.
    values: [records] of numbers, or [records, dimensions] of floats.
    scored: bool [records].

  Raises:
    ArtifactError: another type or shape, or NaN in a scored record.
  """
  kinds = "fiu" if values.ndim == 1 else "f" if values.ndim == 2 else ""
  if values.dtype.kind not in (*kinds,):
    raise ArtifactError(
      f"{where}: {values.dtype} of {values.ndim} axes; expected one axis of "
      "numbers or two of floats"
    )
  bad = np.isnan(values) if values.dtype.kind == "f" else values != values
  rows = np.flatnonzero(bad.any(axis=tuple(range(1, bad.ndim))) & scored)
  if rows.size:
    raise ArtifactError(
      f"{where}, position {start + rows[0]}: NaN in a scored record; its "
      "status must be unscorable(reason)"
    )


def check_lengths(
  where: str,
  expected: int,
  fingerprints: np.ndarray,
  statuses: Sequence[str],
  columns: Mapping[str, np.ndarray],
) -> None:
  """Raises ArtifactError unless all have as many rows as the part."""
  lengths = {"fingerprints": len(fingerprints), "statuses": len(statuses)}
  lengths |= {name: len(values) for name, values in columns.items()}
  if (
    set(lengths.values()) != {expected}
    or "score" not in columns
    or set(columns) & set(KEYS)
  ):
    raise ArtifactError(
      f"{where}: rows {lengths}; expected {expected} each, a column named "
      f"score and none named {', '.join(KEYS)}"
    )


def to_arrow(values: np.ndarray, scored: np.ndarray) -> pa.Array:
  """Returns a column with null where a record has no score.

  Lists are never null themselves, their numbers are: Parquet files with null
  lists of a fixed size cannot be read back (Arrow 25).
  """
  if values.ndim == 1:
    return pa.array(values, mask=~scored)
  width = values.shape[1]
  numbers = pa.array(values.reshape(-1), mask=np.repeat(~scored, width))
  return pa.FixedSizeListArray.from_arrays(numbers, width)


def to_numpy(table: pa.Table, name: str, *, gaps: bool) -> np.ndarray:
  """Returns a column of a part.

  Args:
    table: the part.
    name: the column.
    gaps: whether any record of the whole set has no score; then integers are
      read as float64, so that the type does not depend on the part.
  """
  column = table.column(name).combine_chunks()
  if name in KEYS:
    return column.to_numpy(zero_copy_only=False)
  width = 0
  if pa.types.is_fixed_size_list(column.type):
    width, column = column.type.list_size, column.flatten()
  numbers = column.drop_null().to_numpy()
  if gaps and numbers.dtype.kind != "f":
    numbers = numbers.astype(np.float64)
  if column.null_count:
    result = np.full(len(column), np.nan, numbers.dtype)
    result[column.is_valid().to_numpy(zero_copy_only=False)] = numbers
  else:
    result = numbers
  return result.reshape(-1, width) if width else result


def joined(
  shards: Mapping[str, list[np.ndarray]],
) -> dict[str, np.ndarray]:
  """Returns each shard's blocks as one array, empty where it has none."""
  some = next((blocks[0] for blocks in shards.values() if blocks), None)
  empty = np.empty(0) if some is None else some[:0]
  return {
    shard: np.concatenate(blocks) if blocks else empty
    for shard, blocks in shards.items()
  }
