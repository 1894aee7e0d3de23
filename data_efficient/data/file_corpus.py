# SPDX-License-Identifier: Apache-2.0
"""A corpus of files named by glob: JSON lines, Parquet or plain text.

One shard a file; a record's position is its row. Suffixes: `.jsonl`, `.json`
(also JSON lines) and `.txt`, each alone or with `.gz` or `.zst`; `.parquet`.
"""

import dataclasses
import functools
import glob
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import xxhash

from data_efficient.data import file_access, file_formats, records
from data_efficient.data.corpora import CorpusError
from data_efficient.data.records import Record
from data_efficient.scorers import defences


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
  """Files by glob.

  Attributes:
    pattern: a glob, or several; `**` matches folders of any depth. Files are
      taken in the order of their paths, each once; those of a glob after "!"
      are left out.
    text_field: field or column with the text (JSON lines, Parquet).
    source_field: field with a label for tables; where a record has none, the
      file's name without suffixes is its source.
    group_field: field that splits must not tear apart, such as a domain or a
      book; "" makes each record its own group.
    text_unit: what a record of a plain text file is: "paragraph" (a block of
      lines between blank lines) or "line".
    name: name of the corpus.
  """

  pattern: str | Sequence[str]
  text_field: str = "text"
  source_field: str = "source"
  group_field: str = ""
  text_unit: str = file_formats.TextUnit.PARAGRAPH
  name: str = "files"

  def shards(self) -> list[str]:
    """Returns the files' paths below their common folder, sorted.

    Raises:
      CorpusError: no file matches, or a file's suffix is unknown.
    """
    return list(self._paths)

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a file's records from row `start` on.

    U+FFFD stands for each half of a surrogate pair (a JSON escape that was
    cut in two); how many rows have one is said on standard error.

    Raises:
      CorpusError: no such shard, or a damaged file or row; names both.
    """
    path = self._path(shard)
    columns = (self.text_field, self.source_field, self.group_field)
    rows = self.rows(shard, columns)
    kept = itertools.islice(rows, start, None)
    mended = []
    for position, row in enumerate(kept, start):
      text = self._text(row)
      if text is not row.fields[self.text_field]:
        mended.append(row.where)
      yield Record(
        position=position,
        text=text,
        source=_label(
          row.fields.get(self.source_field) or file_formats.stem(path)
        ),
        group=self._group(row),
        id=records.record_id(shard, position),
        offset=row.offset,
      )
    self._tell(path, mended)

  def rows(
    self, shard: str, columns: Sequence[str]
  ) -> Iterator[file_formats.Row]:
    """Yields a file's rows, with any of their fields.

    Args:
      shard: name of the file.
      columns: fields that are read (Parquet); the first must be there.

    Raises:
      CorpusError: no such shard, or a damaged file or row; names both.
    """
    unit = file_formats.TextUnit(self.text_unit)
    return file_formats.rows(self._path(shard), columns, text_unit=unit)

  def check_random_access(self) -> None:
    """Raises CorpusError for files that are compressed, or plain text."""
    for path in self._paths.values():
      file_access.check(path)

  def fetch(
    self, shard: str, positions: Sequence[int], offsets: Sequence[int]
  ) -> list[str]:
    """Returns the texts of some rows of a file; see `corpora.RandomAccess`."""
    rows = file_access.fetch(
      self._path(shard), self.text_field, positions, offsets
    )
    return [self._text(row) for row in rows]

  def identity(self) -> dict[str, Any]:
    """Returns how rows become records, and each file's bytes and xxh3.

    Reads every file once a process, without decompressing it.
    """
    return {
      "text_field": self.text_field,
      "source_field": self.source_field,
      "group_field": self.group_field,
      "text_unit": str(self.text_unit),
      "files": self._hashes,
    }

  def _path(self, shard: str) -> pathlib.Path:
    if shard not in self._paths:
      raise CorpusError(
        f"no shard {shard!r} in the files of {self.pattern!r}; there are "
        f"{', '.join(list(self._paths)[:5])} …"
      )
    return self._paths[shard]

  @functools.cached_property
  def _paths(self) -> dict[str, pathlib.Path]:
    patterns = (
      [self.pattern] if isinstance(self.pattern, str) else list(self.pattern)
    )
    left_out = {text for text in patterns if text.startswith("!")}
    found = sorted(
      _matches(text for text in patterns if text not in left_out)
      - _matches(text[1:] for text in left_out)
    )
    if not found:
      raise CorpusError(
        f"{self.name}: no file matches "
        f"{' or '.join(repr(p) for p in patterns)} (seen from {os.getcwd()}): "
        "check the path, and quote the glob in a shell"
      )
    for path in found:
      file_formats.check_suffix(path)
    common = os.path.commonpath([path.parent for path in found])
    return {path.relative_to(common).as_posix(): path for path in found}

  @functools.cached_property
  def _hashes(self) -> dict[str, dict[str, Any]]:
    return {shard: _hash(path) for shard, path in self._paths.items()}

  def _text(self, row: file_formats.Row) -> str:
    if self.text_field not in row.fields:
      raise CorpusError(
        f"{row.where}: no field {self.text_field!r}; it has "
        f"{', '.join(map(repr, row.fields)) or 'none'}: set text_field"
      )
    text = row.fields[self.text_field]
    if not isinstance(text, str):
      found = file_formats.type_name(text)
      raise CorpusError(
        f"{row.where}: field {self.text_field!r} holds {found}, expected a "
        "string: repair or remove the row"
      )
    # Half of a pair is damage to one character: the rest of the record is as
    # good as any, and is hashed, scored and served like that.
    return text if text.isascii() else defences.whole_characters(text)

  def _tell(self, path: pathlib.Path, mended: list[str]) -> None:
    """Says once a process of a file which characters were replaced."""
    if mended and path not in self._told:
      self._told.add(path)
      print(
        f"{mended[0]}{f' and {len(mended) - 1} more' if mended[1:] else ''}: "
        "halves of surrogate pairs, which UTF-8 cannot hold, are read as "
        "U+FFFD",
        file=sys.stderr,
      )

  @functools.cached_property
  def _told(self) -> set[pathlib.Path]:
    return set()

  def _group(self, row: file_formats.Row) -> str:
    if not self.group_field:
      return ""
    group = row.fields.get(self.group_field)
    if group is None:
      raise CorpusError(
        f"{row.where}: no field {self.group_field!r}, which group_field names"
      )
    return _label(group)


def _matches(patterns: Iterable[str]) -> set[pathlib.Path]:
  return {
    pathlib.Path(path).absolute()
    for pattern in patterns
    for path in glob.glob(os.path.expanduser(pattern), recursive=True)
    if os.path.isfile(path)
  }


def _label(value: Any) -> str:
  return defences.whole_characters(str(value))


def _hash(path: pathlib.Path) -> dict[str, Any]:
  digest = xxhash.xxh3_64()
  size = 0
  try:
    with open(path, "rb") as file:
      while block := file.read(1 << 22):
        digest.update(block)
        size += len(block)
  except OSError as error:
    # Whoever reads its records says so, of this file and of all others.
    return {"unreadable": error.strerror}
  return {"bytes": size, "xxh3_64": digest.hexdigest()}
