# SPDX-License-Identifier: Apache-2.0
"""Pool, targets, test and what else, of instructions: none shares a prompt.

What is the same (`instruction_overlap`) stays on one side, as does a group that
a field names: a task, a paragraph. (In DELIFT's public code, arXiv 2411.04425,
models are evaluated on the records that are chosen from.)
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from data_efficient.data import (
  artifacts,
  file_corpus,
  file_formats,
  instruction_overlap,
  instructions,
)

KIND = "instruction_splits"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Made(NamedTuple):
  """Sets that were made.

  Attributes:
    summary: figures: records, sets, copies; see `Shares.make`.
    done_before: whether they were there.
  """

  summary: dict[str, Any]
  done_before: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shares:
  """Sets of some files in shares of their records.

  Attributes:
    files: all records.
    shares: name -> share, which sum to 1; the first set is what the others must
      not overlap, the pool.
    group_field: field, or the first of several that a record has, whose records
      stay on one side; () for none.
    seed: of the draw.
  """

  files: instructions.Instructions
  shares: Mapping[str, float]
  group_field: str | Sequence[str]
  seed: int

  def __post_init__(self):
    """Raises SplitError for shares or names that cannot be."""
    total = sum(self.shares.values())
    positive = all(share > 0 for share in self.shares.values())
    if len(self.shares) < 2 or not positive or abs(total - 1) > 1e-6:
      raise instruction_overlap.SplitError(
        f"SHARES = {dict(self.shares)}: expected two sets or more, with shares"
        f" above 0 that sum to 1, not {total:g}"
      )
    if wrong := [name for name in self.shares if not _NAME.fullmatch(name)]:
      raise instruction_overlap.SplitError(
        f"the set {wrong[0]!r}: a name is of lower-case letters, digits and _"
      )

  def make(self, output: artifacts.PathLike) -> Made:
    """Writes OUTPUT/NAME.jsonl for each set, unless they are there.

    A row has all that it had (of Parquet, the fields that are named here and in
    `files`), and `split_from`: its file and row. The summary has `records` and
    `bundles` (what stays together), of each set its records, `copies` (records
    with a fingerprint, and with a prompt, that an earlier one has),
    `empty_responses`, and `drawn_record_by_record`: how many records of each
    set would be in the first one, too, had each been drawn by itself.

    Raises:
      SplitError: too few groups for the shares.
      CorpusError: a file that is missing or damaged.
      ArtifactError: sets of other files or shares lie there, or one of the sets
        was edited.
    """
    identity = {
      "files": self.files.identity(),
      "shares": dict(self.shares),
      "group_field": list(self._group_fields),
      "seed": self.seed,
    }
    with artifacts.Writer(output, kind=KIND, identity=identity) as writer:
      done = writer.complete
      if not done:
        self._write(writer)
    manifest = artifacts.read_manifest(output, kind=KIND)
    for part in manifest.parts:
      artifacts.read_bytes(output, part)  # verifies the checksum
    return Made(manifest.summary, done)

  def _write(self, writer: artifacts.Writer) -> None:
    records = self.files.records
    whole = [instructions.fingerprint(record) for record in records]
    prompts = [
      instruction_overlap.prompt_key(record.prompt) for record in records
    ]
    rows, places = list(self._rows()), self.files.places
    groups = [self._group(fields) for fields in rows]
    bundles = _bundles(whole, prompts, groups)
    sets = self._assigned(bundles, prompts)
    pool = np.flatnonzero(sets == 0)
    if self._for_targets:
      tasks = self.files.tasks
      instruction_overlap.check_tasks([tasks[number] for number in pool])
    counts = {}
    for number, name in enumerate(self.shares):
      kept = np.flatnonzero(sets == number)
      counts[name] = len(kept)
      if writer.has(f"{name}.jsonl"):
        continue
      lines = (self._line(rows[n], places[n]) for n in kept)
      writer.write_bytes(f"{name}.jsonl", "".join(lines).encode())
    alone = self._assigned(np.arange(len(records)), prompts)
    writer.finish(
      records=len(records),
      bundles=len(set(bundles.tolist())),
      sets=counts,
      copies={
        "fingerprint": len(whole) - len(set(whole)),
        "prompt": len(prompts) - len(set(prompts)),
      },
      empty_responses=sum(not r.response.strip() for r in records),
      drawn_record_by_record={
        name: _inside(prompts, alone == number, alone == 0)
        for number, name in enumerate(self.shares)
        if number
      },
    )

  @property
  def _for_targets(self) -> bool:
    """Whether something is to be chosen for the task of targets."""
    first = next(iter(self.shares))
    return first == instruction_overlap.POOL and (
      instruction_overlap.TARGETS in self.shares
    )

  def _rows(self) -> Iterator[dict[str, Any]]:
    """The fields of each record's row."""
    files = file_corpus.Files(
      pattern=self.files.pattern, text_field=self.files.prompt_field
    )
    wanted = set(self.files.places)
    for shard in files.shards():
      for position, row in enumerate(files.rows(shard, self._columns)):
        if (shard, position) in wanted:
          yield row.fields

  @property
  def _columns(self) -> list[str]:
    files = self.files
    named = (files.prompt_field, files.input_field, files.response_field)
    tasks = file_formats.field_names(files.task_field)
    return [name for name in (*named, *tasks, *self._group_fields) if name]

  @property
  def _group_fields(self) -> tuple[str, ...]:
    return file_formats.field_names(self.group_field)

  def _group(self, fields: Mapping[str, Any]) -> str:
    named = file_formats.label(fields, self._group_fields)
    return "" if named is None else f"{named[0]}={named[1]}"

  def _assigned(
    self, bundles: np.ndarray, prompts: Sequence[int]
  ) -> np.ndarray:
    """The set of each record: bundles in a drawn order, cut by the shares."""
    names, place, sizes = np.unique(
      bundles, return_inverse=True, return_counts=True
    )
    keys = [
      xxhash.xxh3_64_intdigest(
        f"{prompts[first]}:{first}".encode(), seed=self.seed
      )
      for first in names
    ]
    order = np.argsort(np.array(keys, np.uint64), kind="stable")
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    ends = np.cumsum(list(self.shares.values())) * len(bundles)
    found = np.zeros(len(names), np.int64)
    found[order] = np.minimum(
      np.searchsorted(ends, middles, side="right"), len(ends) - 1
    )
    for number, name in enumerate(self.shares):
      if number not in found:
        raise instruction_overlap.SplitError(
          f"no record is left for {name!r}: {len(names):,} bundles of records"
          f" stay together in {len(bundles):,}; bring more, raise its share, or"
          " name another GROUP_FIELD"
        )
    return found[place]

  def _line(self, fields: Mapping[str, Any], place: tuple[str, int]) -> str:
    origin = f"{place[0]}, row {place[1]}"
    named = {**fields, instructions.SPLIT_FROM: origin}
    return json.dumps(named, default=str) + "\n"


def _bundles(*labels: Sequence[Any]) -> np.ndarray:
  """The least number of what stays together with each record.

  Records stay together that have a label in common; "" is none.
  """
  parents = list(range(len(labels[0])))

  def root(number: int) -> int:
    while parents[number] != number:
      parents[number] = parents[parents[number]]
      number = parents[number]
    return number

  for column in labels:
    first: dict[Any, int] = {}
    for number, label in enumerate(column):
      if label == "":
        continue
      one, other = root(first.setdefault(label, number)), root(number)
      parents[max(one, other)] = min(one, other)
  return np.array([root(number) for number in range(len(parents))], np.int64)


def _inside(
  prompts: Sequence[int], these: np.ndarray, those: np.ndarray
) -> int:
  """How many of some records have a prompt of some others."""
  values = np.array(prompts, np.uint64)
  return int(np.isin(values[these], values[those]).sum())
