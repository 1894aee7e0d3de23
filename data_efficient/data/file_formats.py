# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON lines, Parquet and plain text files, with exact complaints."""

import contextlib
import enum
import gzip
import io
import itertools
import json
import pathlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from data_efficient.data.corpora import CorpusError

_COMPRESSIONS = (".gz", ".zst")
_SUFFIXES = (".jsonl", ".json", ".txt", ".parquet")
_MARK = b"\xef\xbb\xbf"  # byte order mark
_DAMAGED = (EOFError, OSError, zlib.error, pa.ArrowException)


class TextUnit(enum.StrEnum):
  """What one record of a plain text file is."""

  PARAGRAPH = "paragraph"  # a block of lines between blank lines
  LINE = "line"  # a line that is not blank


class Row(NamedTuple):
  """One row.

  Attributes:
    where: file and row, for messages.
    fields: its values by name.
    offset: the byte where it begins in a plain JSON lines file; else -1.
  """

  where: str
  fields: dict[str, Any]
  offset: int = -1


def rows(
  path: pathlib.Path, columns: Sequence[str], *, text_unit: TextUnit
) -> Iterator[Row]:
  """Yields a file's rows in order.

  Args:
    path: a file with a known suffix.
    columns: the text's field, then others that are read where they exist.
    text_unit: what a record of a plain text file is.

  Raises:
    CorpusError: a damaged file or row; names both.
  """
  kind, compression = suffixes(path)
  if kind == ".parquet":
    return _parquet_rows(path, columns)
  lines = _lines(path)
  if kind == ".txt":
    return _text_rows(path, lines, columns[0], text_unit)
  return _json_rows(path, lines, plain=not compression)


def check_suffix(path: pathlib.Path) -> None:
  """Raises CorpusError unless the file's suffixes are known."""
  kind, compression = suffixes(path)
  if kind not in _SUFFIXES or (kind == ".parquet" and compression):
    raise CorpusError(
      f"{path}: unknown kind of file {kind + compression!r}; known are "
      f"{', '.join(_SUFFIXES)}, all but .parquet also with "
      f"{' or '.join(_COMPRESSIONS)}: narrow the glob or convert the file"
    )


def stem(path: pathlib.Path) -> str:
  """Returns the file's name without its suffixes."""
  kind, compression = suffixes(path)
  return path.name[: -len(kind + compression)]


def type_name(value: Any) -> str:
  """Returns the name of a JSON value's type, for messages."""
  return "null" if value is None else type(value).__name__


def field_names(named: str | Sequence[str]) -> tuple[str, ...]:
  """One field, or several, as several."""
  return (named,) if isinstance(named, str) else tuple(named)


def label(
  fields: Mapping[str, Any], names: Sequence[str]
) -> tuple[str, Any] | None:
  """The first of some fields that a row has, and its value.

  Null and "" are none; 0 and false are values.
  """
  for name in names:
    if fields.get(name) not in (None, ""):
      return name, fields[name]
  return None


def suffixes(path: pathlib.Path) -> tuple[str, str]:
  """Returns the kind and the compression, such as (".jsonl", ".gz")."""
  found = [suffix.lower() for suffix in path.suffixes[-2:]]
  if found and found[-1] in _COMPRESSIONS:
    return (found[0] if len(found) == 2 else ""), found[-1]
  return (found[-1] if found else ""), ""


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[BinaryIO]:
  _, compression = suffixes(path)
  if compression and path.stat().st_size == 0:
    raise EOFError("the file has no bytes")
  if compression == ".gz":
    with gzip.open(path, "rb") as stream:
      yield stream
  elif compression == ".zst":
    # Arrow's stream, since it notices a cut frame, which zstandard's does not.
    with pa.input_stream(str(path), compression="zstd") as stream:
      yield io.BufferedReader(stream, 1 << 18)
  else:
    with open(path, "rb") as stream:
      yield stream


def _lines(path: pathlib.Path) -> Iterator[bytes]:
  """Yields a file's lines without a byte order mark."""
  number = 0
  try:
    with _opened(path) as stream:
      for number, line in enumerate(stream, 1):
        yield line.removeprefix(_MARK) if number == 1 else line
  except PermissionError as error:
    raise _forbidden(path) from error
  except _DAMAGED as error:
    raise CorpusError(
      f"{path}, after line {number} (row {number}): the file is truncated or "
      f"damaged ({error}): fetch it again"
    ) from error


def _forbidden(path: pathlib.Path) -> CorpusError:
  return CorpusError(
    f"{path}: no permission to read the file: give it to this user"
  )


def _decoded(line: bytes, where: str) -> str:
  try:
    return line.decode("utf-8")
  except UnicodeDecodeError as error:
    raise CorpusError(
      f"{where}, byte {error.start} of the line: invalid UTF-8 "
      f"({line[error.start : error.start + 4]!r}): convert the file to UTF-8"
    ) from error


def _json_rows(
  path: pathlib.Path, lines: Iterator[bytes], *, plain: bool
) -> Iterator[Row]:
  blank = end = 0
  for row, line in enumerate(lines):
    start = end or _mark_bytes(path)
    end = start + len(line)
    if not line.strip():
      blank = blank or row + 1
      continue
    where = f"{path}, row {row} (line {row + 1})"
    if blank:  # only at the end; else rows and line numbers would part
      raise CorpusError(f"{path}: line {blank} is blank: remove it")
    yield json_row(line, where, offset=start if plain else -1)


def json_row(line: bytes, where: str, *, offset: int) -> Row:
  """Returns the row of one line.

  Raises:
    CorpusError: the line is no JSON object.
  """
  return Row(where, _json_object(_decoded(line, where), where), offset)


def _mark_bytes(path: pathlib.Path) -> int:
  with open(path, "rb") as file:
    return len(_MARK) if file.read(len(_MARK)) == _MARK else 0


def _json_object(line: str, where: str) -> dict[str, Any]:
  try:
    fields = json.loads(line)
  except ValueError as error:
    raise CorpusError(
      f"{where}: invalid JSON ({error}); expected one object a line: repair "
      "or remove the line"
    ) from error
  if not isinstance(fields, dict):
    raise CorpusError(f"{where}: expected an object, found {type_name(fields)}")
  return fields


def _parquet_rows(path: pathlib.Path, columns: Sequence[str]) -> Iterator[Row]:
  row = 0
  try:
    with pyarrow.parquet.ParquetFile(path) as file:
      names = [name for name in columns if name in file.schema_arrow.names]
      if columns[0] not in names:
        raise CorpusError(
          f"{path}, row 0: no column {columns[0]!r}; it has "
          f"{', '.join(map(repr, file.schema_arrow.names))}: set text_field"
        )
      for batch in file.iter_batches(columns=names, use_threads=False):
        for index in range(batch.num_rows):
          where = f"{path}, row {row}"
          values = {name: batch.column(name)[index] for name in names}
          yield Row(where, _python_values(values, where))
          row += 1
  except PermissionError as error:
    raise _forbidden(path) from error
  except _DAMAGED as error:
    raise CorpusError(
      f"{path}, after row {row}: damaged Parquet ({error}): fetch it again"
    ) from error


def _python_values(values: dict[str, Any], where: str) -> dict[str, Any]:
  try:
    return {name: value.as_py() for name, value in values.items()}
  except UnicodeDecodeError as error:
    raise CorpusError(
      f"{where}, byte {error.start}: invalid UTF-8: write the column anew"
    ) from error


def _text_rows(
  path: pathlib.Path, lines: Iterator[bytes], field: str, unit: TextUnit
) -> Iterator[Row]:
  block: list[str] = []
  row = 0
  for number, line in enumerate(itertools.chain(lines, [b""]), 1):
    where = f"{path}, row {row} (line {number})"
    text = _decoded(line, where).rstrip()
    if text:
      block.append(text)
    if block and (not text or unit is TextUnit.LINE):
      yield Row(where, {field: "\n".join(block)})
      block, row = [], row + 1
