# SPDX-License-Identifier: Apache-2.0
"""Records for instruction tuning: prompts and responses from files.

JSON lines (plain, .gz, .zst) or Parquet, a record a row. An input, where a
record has one, follows its prompt after a blank line. As a corpus (`corpora`)
a record's text is its prompt and, after another one, its response; its source
is its task.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import (
  artifacts,
  corpus_index,
  file_corpus,
  file_formats,
  records,
  selections,
)
from data_efficient.data.corpora import CorpusError
from data_efficient.data.records import Record
from data_efficient.data.utility_blocks import Axis
from data_efficient.scorers import defences
from data_efficient.scorers.templates import Instruction

# Field of a row that `instruction_splits` wrote: "FILE, row NUMBER".
SPLIT_FROM = "split_from"


class _Read(NamedTuple):
  """A record and where it stands."""

  shard: str
  position: int
  record: Instruction
  task: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instructions:
  """Instructions of files by glob; read once, and kept.

  Attributes:
    pattern: as of `file_corpus.Files`.
    prompt_field: field with what is asked.
    input_field: field with what it is asked about; may be missing, null or
      empty. "" for none.
    response_field: field with the answer.
    task_field: field with the name of a record's task, or several: the first
      that a record has. One that has none, and by default all, are of the task
      that their file is named after; of sets that were split from files, the
      file that they were in.
    selection: directory of a selection of these files, whose kept records are
      the records; None: all are.
    name: of the corpus.
  """

  pattern: str | Sequence[str]
  prompt_field: str
  input_field: str
  response_field: str
  task_field: str | Sequence[str] = ()
  selection: str | None = None
  name: str = "instructions"

  def identity(self) -> dict[str, Any]:
    """The fields, and each file's bytes and xxh3, JSON-able.

    With a selection, what it keeps, too.
    """
    found = {
      "prompt_field": self.prompt_field,
      "input_field": self.input_field,
      "response_field": self.response_field,
      "files": self._files.identity()["files"],
    }
    if self._task_fields:
      found["task_field"] = list(self._task_fields)
    if self.selection is not None:
      opened = selections.Selection.open(self.selection)
      found["selection"] = opened.fingerprint()
    return found

  @functools.cached_property
  def records(self) -> list[Instruction]:
    """The records, file by file.

    Raises:
      CorpusError: no file, or a damaged file or row; names both; or nothing is
        kept of them.
      ArtifactError: the selection is of other files, or of what they were.
    """
    return [read.record for read in self._read]

  @property
  def tasks(self) -> list[str]:
    """The task of each record."""
    return [read.task for read in self._read]

  @property
  def places(self) -> list[tuple[str, int]]:
    """File and row of each record."""
    return [(read.shard, read.position) for read in self._read]

  def axis(self, statuses: list[str]) -> Axis:
    """The records as an axis of a kernel.

    Args:
      statuses: "scored" or "unscorable(reason)" of each.
    """
    hashes = self.identity()["files"]
    files = [read.shard for read in self._read]
    contents = [int(hashes[name]["xxh3_64"], 16) for name in files]
    positions = [read.position for read in self._read]
    return Axis(
      files,
      np.array(contents, np.uint64),
      np.array(positions, np.int64),
      np.array(list(map(fingerprint, self.records)), np.uint64),
      statuses,
    )

  def shards(self) -> list[str]:
    """The files' paths below their common folder, sorted; see `corpora`.

    Raises:
      CorpusError: no file; or with a selection: a corpus is all of its rows.
    """
    if self.selection is not None:
      raise CorpusError(
        f"{self.pattern!r}: a corpus has all of its rows, and selections of it"
        f" beside it; name {self.selection} as POOL_SELECTION, or as CASCADE"
      )
    return self._files.shards()

  def read(self, shard: str, start: int = 0) -> Iterator[Record]:
    """Yields a file's records from row `start` on, as texts.

    Raises:
      CorpusError: no such file, or a damaged file or row; names both.
    """
    for row in self._shard(shard)[start:]:
      yield Record(
        position=row.position,
        text=text(row.record),
        source=row.task,
        group="",
        id=records.record_id(shard, row.position),
      )

  def instructions(self, shard: str, start: int = 0) -> Iterator[Instruction]:
    """Yields the same records as prompts and responses."""
    for row in self._shard(shard)[start:]:
      yield row.record

  def _shard(self, shard: str) -> list[_Read]:
    if shard not in self.shards():
      raise CorpusError(f"no file {shard!r} among those of {self.pattern!r}")
    return self._by_shard[shard]

  @functools.cached_property
  def _by_shard(self) -> dict[str, list[_Read]]:
    found: dict[str, list[_Read]] = {each: [] for each in self._files.shards()}
    for row in self._rows:
      found[row.shard].append(row)
    return found

  @functools.cached_property
  def _read(self) -> list[_Read]:
    """The records, kept ones alone where there is a selection."""
    if self.selection is None:
      return self._rows
    kept = selections.Selection.open(self.selection)
    self._check(kept)
    masks = {shard: kept.mask(shard) for shard in kept.shards}
    # A selection from a kernel ends with the last example of each file.
    found = [
      row
      for row in self._rows
      if row.position < len(masks.get(row.shard, ()))
      and masks[row.shard][row.position]
    ]
    if not found:
      raise CorpusError(
        f"{self.selection}: keeps no record of {self.pattern!r}: raise the"
        " budget"
      )
    return found

  def _check(self, kept: selections.Selection) -> None:
    """Refuses a selection of other files, or of what these once were."""
    kernel = kept.identity.get("pairs", {}).get("kernel")
    if kernel and kept.identity["corpus"]["name"] != self.name:
      artifacts.check_identity(
        f"{self.selection}: a selection of other files",
        {"files": kernel["examples"]["files"]},
        {"files": self._files.identity()["files"]},
      )
      return
    kept.check_corpus(self._described)

  @functools.cached_property
  def _described(self) -> dict[str, Any]:
    """As `corpus_index.CorpusIndex.describe`, without an index."""
    shards = {
      shard: np.array(
        [records.fingerprint(text(row.record)) for row in rows], np.uint64
      )
      for shard, rows in self._by_shard.items()
    }
    return {
      "name": self.name,
      "fingerprint": corpus_index.combined(shards.items()),
      "records": len(self._rows),
      "shards": {shard: len(rows) for shard, rows in shards.items()},
    }

  @functools.cached_property
  def _rows(self) -> list[_Read]:
    """All rows of all files."""
    columns = (self.prompt_field, self.response_field, self.input_field)
    columns = [name for name in (*columns, *self._task_fields) if name]
    return [
      _Read(shard, position, self._record(row), self._task(shard, row))
      for shard in self._files.shards()
      for position, row in enumerate(self._files.rows(shard, columns))
    ]

  @property
  def _task_fields(self) -> tuple[str, ...]:
    return file_formats.field_names(self.task_field)

  def _task(self, shard: str, row: file_formats.Row) -> str:
    named = file_formats.label(row.fields, self._task_fields)
    if named is None:
      origin = row.fields.get(SPLIT_FROM)
      file = str(origin).rpartition(", row ")[0] if origin else shard
      return file_formats.stem(pathlib.Path(file))
    return defences.whole_characters(str(named[1]))

  @functools.cached_property
  def _files(self) -> file_corpus.Files:
    return file_corpus.Files(
      pattern=self.pattern, text_field=self.prompt_field, name="instructions"
    )

  def _record(self, row: file_formats.Row) -> Instruction:
    prompt = _text(row, self.prompt_field, "prompt_field")
    added = row.fields.get(self.input_field)
    if added is not None and added != "":
      added = _text(row, self.input_field, "input_field")
      prompt = f"{prompt}\n\n{added}" if added.strip() else prompt
    return Instruction(
      prompt, _text(row, self.response_field, "response_field")
    )


def text(instruction: Instruction) -> str:
  """Prompt and response with a blank line between them; blank ones left out."""
  return "\n\n".join(part for part in instruction if part.strip())


def fingerprint(instruction: Instruction) -> int:
  """Returns the 64-bit xxh3 hash of prompt and response."""
  return records.fingerprint("\0".join(instruction))


def _text(row: file_formats.Row, field: str, named: str) -> str:
  if field not in row.fields:
    raise CorpusError(
      f"{row.where}: no field {field!r}; it has "
      f"{', '.join(map(repr, row.fields)) or 'none'}: set {named.upper()}"
    )
  found = row.fields[field]
  if not isinstance(found, str):
    raise CorpusError(
      f"{row.where}: field {field!r} holds {file_formats.type_name(found)}, "
      f"expected a string: repair or remove the row, or set {named.upper()}"
    )
  return defences.whole_characters(found)
