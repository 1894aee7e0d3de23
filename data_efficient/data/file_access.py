# SPDX-License-Identifier: Apache-2.0
"""Single rows of plain JSON lines files and of Parquet files, in any order.

A line is found by its byte offset, which the corpus's index keeps; a Parquet
row by its row group, which is decoded whole and kept for a while.
"""

import collections
import pathlib
import shlex
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from data_efficient.data import file_formats
from data_efficient.data.corpora import CorpusError
from data_efficient.data.file_formats import Row

_COMMANDS = {".gz": "gzip -dk", ".zst": "zstd -dk"}


def check(path: pathlib.Path) -> None:
  """Raises CorpusError unless single rows of the file can be read.

  Compressed files would have to be read from their start for every row, and a
  paragraph of a plain text file has no row of its own.
  """
  kind, compression = file_formats.suffixes(path)
  if compression:
    command = f"{_COMMANDS[compression]} {shlex.quote(str(path))}"
    raise CorpusError(
      f"{path}: single records of a {compression} file cannot be read. Either "
      f"unpack it and name the plain file in the corpus:\n  {command}\n"
      "or serve by the filter (SERVING = 'filter')"
    )
  if kind == ".txt":
    raise CorpusError(
      f"{path}: single records of a text file cannot be read: write it as JSON "
      "lines or Parquet, or serve by the filter (SERVING = 'filter')"
    )


def fetch(
  path: pathlib.Path,
  column: str,
  positions: Sequence[int],
  offsets: Sequence[int],
) -> list[Row]:
  """Returns some rows of a file, in the order asked for.

  Args:
    path: a `.jsonl`, `.json` or `.parquet` file.
    column: the field that is read (Parquet).
    positions: the rows' numbers.
    offsets: the rows' first bytes (JSON lines).

  Raises:
    CorpusError: a row that is not there, or is damaged; names file and row.
  """
  check(path)
  kind, _ = file_formats.suffixes(path)
  if kind == ".parquet":
    return _parquet_rows(path, column, positions)
  return _json_rows(path, positions, offsets)


def _json_rows(
  path: pathlib.Path, positions: Sequence[int], offsets: Sequence[int]
) -> list[Row]:
  rows = []
  # Opened anew each time: no handle to share between threads or processes.
  try:
    with open(path, "rb") as file:
      for position, offset in zip(positions, offsets, strict=True):
        file.seek(offset)
        where = f"{path}, row {position} (from byte {offset})"
        line = file.readline()
        rows.append(file_formats.json_row(line, where, offset=offset))
  except OSError as error:
    raise CorpusError(f"{path}: cannot be read: {error}") from error
  return rows


def _parquet_rows(
  path: pathlib.Path, column: str, positions: Sequence[int]
) -> list[Row]:
  try:
    starts = _GROUPS.starts(path)
    found: dict[int, Row] = {}
    for position in sorted(positions):
      where = f"{path}, row {position}"
      if position >= starts[-1]:
        raise CorpusError(
          f"{where}: the file has only {starts[-1]} rows: it has changed since "
          "it was indexed; bring it back, or score the new one"
        )
      group = int(np.searchsorted(starts, position, side="right")) - 1
      values = _GROUPS.column(path, group, column)
      text = values[position - int(starts[group])].as_py()
      found[position] = Row(where, {column: text})
  except (OSError, KeyError, pa.ArrowException, UnicodeDecodeError) as error:
    raise CorpusError(
      f"{path}: damaged Parquet ({error}): fetch it again"
    ) from error
  return [found[position] for position in positions]


class _RowGroups:
  """Decoded row groups of any files, the last used ones, up to some bytes."""

  def __init__(self, max_bytes: int):
    self._max_bytes = max_bytes
    self._columns: collections.OrderedDict[tuple, pa.ChunkedArray] = (
      collections.OrderedDict()
    )
    self._starts: dict[tuple, np.ndarray] = {}
    self._lock = threading.Lock()

  def starts(self, path: pathlib.Path) -> np.ndarray:
    """Each group's first row, then the number of rows: int64 [groups + 1]."""
    key = _stamp(path)
    if key not in self._starts:
      with pyarrow.parquet.ParquetFile(path) as file:
        metadata = file.metadata
        counts = [
          metadata.row_group(group).num_rows
          for group in range(metadata.num_row_groups)
        ]
      self._starts[key] = np.cumsum([0, *counts])
    return self._starts[key]

  def column(
    self, path: pathlib.Path, group: int, name: str
  ) -> pa.ChunkedArray:
    """One column of a row group."""
    key = (*_stamp(path), group, name)
    with self._lock:  # so that threads do not decode the same group
      if key not in self._columns:
        with pyarrow.parquet.ParquetFile(path) as file:
          table = file.read_row_group(group, columns=[name], use_threads=False)
        self._columns[key] = table.column(name)
        self._shrink()
      self._columns.move_to_end(key)
      return self._columns[key]

  def _shrink(self) -> None:
    while (
      len(self._columns) > 1
      and sum(column.nbytes for column in self._columns.values())
      > self._max_bytes
    ):
      self._columns.popitem(last=False)


def _stamp(path: pathlib.Path) -> tuple[str, int, int]:
  facts = path.stat()
  return str(path), facts.st_size, facts.st_mtime_ns


_GROUPS = _RowGroups(1 << 30)
