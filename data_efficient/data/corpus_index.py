# SPDX-License-Identifier: Apache-2.0
"""The index of a corpus: what each record is, without its text.

Made once by one pass over the corpus; every other artifact refers to it, so
that scores and selections can refuse a corpus that they were not made from.
"""

import functools
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from data_efficient.data import artifacts, records
from data_efficient.data.corpora import Corpus, CorpusError

KIND = "corpus_index"
_SCHEMA = pa.schema(
  {
    "position": pa.int64(),
    "fingerprint": pa.uint64(),
    "characters": pa.int32(),
    "source": pa.string(),
    "group": pa.string(),
    "offset": pa.int64(),
  }
)

Progress = Callable[[int, int], None]


class CorpusIndex:
  """A corpus's records by shard: counts, fingerprints, labels.

  Args:
    manifest: manifest of a finished index.
  """

  def __init__(self, manifest: artifacts.Manifest):
    self._manifest = manifest
    parts = manifest.parts.items()
    self._parts = {
      facts["shard"]: part
      for part, facts in sorted(parts, key=lambda item: item[1]["number"])
    }

  @property
  def name(self) -> str:
    """Name of the corpus."""
    return self._manifest.identity["corpus"]

  @property
  def fingerprint(self) -> str:
    """xxh3_64, in hex, of all shards' names and record fingerprints."""
    return self._manifest.summary["fingerprint"]

  @functools.cached_property
  def shards(self) -> dict[str, int]:
    """Records in each shard, in the corpus's order."""
    facts = self._manifest.parts
    return {
      shard: facts[part]["records"] for shard, part in self._parts.items()
    }

  @property
  def records(self) -> int:
    """Records in all shards."""
    return self._manifest.summary["records"]

  @property
  def characters(self) -> int:
    """Characters (Unicode code points) in all records."""
    return self._manifest.summary["characters"]

  def column(self, name: str) -> dict[str, np.ndarray]:
    """Returns one column of each shard.

    Args:
      name: "position" (int64), "fingerprint" (uint64), "characters" (int32),
        "source" or "group" (objects of type str), "offset" (int64, see
        `Record`).

    Raises:
      ArtifactError: no such column, or a damaged part.
    """
    return {shard: self.shard_column(shard, name) for shard in self._parts}

  def shard_column(self, shard: str, name: str) -> np.ndarray:
    """Returns one column of one shard; see `column`."""
    table = self._manifest.read_table(self._parts[shard], columns=[name])
    return table.column(name).to_numpy()

  def source_counts(self, shard: str, positions: np.ndarray) -> dict[str, int]:
    """Returns how many of the records at these positions each source has."""
    table = self._manifest.read_table(self._parts[shard], columns=["source"])
    counts = pc.value_counts(table.column("source").take(positions))
    return {item["values"]: item["counts"] for item in counts.to_pylist()}

  def labels(self, shard: str, name: str) -> tuple[list[str], np.ndarray]:
    """Returns a shard's distinct sources or groups, and each record's number.

    Args:
      shard: its name.
      name: "source" or "group".
    """
    table = self._manifest.read_table(self._parts[shard], columns=[name])
    column = table.column(name).combine_chunks().dictionary_encode()
    numbers = column.indices.to_numpy(zero_copy_only=False)
    return column.dictionary.to_pylist(), numbers.astype(np.int32)

  def describe(self) -> dict[str, Any]:
    """Returns what other artifacts say of this corpus in their identity."""
    return {
      "name": self.name,
      "fingerprint": self.fingerprint,
      "records": self.records,
      "shards": self.shards,
    }


def build(
  corpus: Corpus,
  directory: artifacts.PathLike,
  progress: Progress | None = None,
) -> CorpusIndex:
  """Reads a corpus once and writes its index; resumes at the first shard due.

  A shard that cannot be read does not stop the others, but there is no index
  without it: all that are damaged are named at the end.

  Args:
    corpus: the corpus.
    directory: where the index goes; when it is done there, nothing is read
      but the corpus's identity.
    progress: called with (shards done, all shards) after each shard.

  Raises:
    CorpusError: damaged files or rows, each by its shard, or a corpus without
      records.
    ArtifactError: another corpus's index lies there, or another writer works.
  """
  shards = corpus.shards()
  _check_names(shards)
  identity = {"corpus": corpus.name, **corpus.identity()}
  with artifacts.Writer(directory, kind=KIND, identity=identity) as writer:
    if not writer.complete:
      try:
        _fill(writer, corpus, progress)
      except CorpusError:
        # The mended corpus is another one: what was indexed of this one
        # would only stand in its way.
        shutil.rmtree(directory)
        raise
  return open_index(directory)


def _fill(
  writer: artifacts.Writer, corpus: Corpus, progress: Progress | None
) -> None:
  shards = corpus.shards()
  damaged: dict[str, str] = {}
  for number, shard in enumerate(shards):
    part = f"{number:05d}.parquet"
    if not writer.has(part):
      try:
        table = _read_shard(corpus, shard)
      except (CorpusError, OSError) as error:
        damaged[shard] = str(error)
      else:
        writer.write_table(part, table, shard=shard, number=number)
    if progress:
      progress(number + 1, len(shards))
  if damaged:
    raise _damaged(damaged, len(shards))
  writer.finish(**_summary(writer.manifest))


def _damaged(damaged: Mapping[str, str], shards: int) -> CorpusError:
  lines = [f"{shard}: {reason}" for shard, reason in damaged.items()]
  return CorpusError(
    f"{len(damaged)} of {shards} shards cannot be read:\n  "
    + "\n  ".join(lines)
    + "\nThe others were read to their ends. Mend these, or say that the"
    " corpus is to be without them: a file is left out by a further pattern"
    f" that begins with \"!\", such as '!…/{next(iter(damaged))}' in FILES"
  )


def open_index(directory: artifacts.PathLike) -> CorpusIndex:
  """Opens a finished index.

  Raises:
    ArtifactError: none is there, or it is unfinished or damaged.
  """
  return CorpusIndex(artifacts.read_manifest(directory, kind=KIND))


def _check_names(shards: list[str]) -> None:
  if not shards:
    raise CorpusError("the corpus is empty: it has no shards")
  if len(set(shards)) < len(shards):
    twice = sorted({name for name in shards if shards.count(name) > 1})
    raise CorpusError(f"shards with the same name: {', '.join(twice)}")


def _read_shard(corpus: Corpus, shard: str) -> pa.Table:
  rows = [
    (
      record.position,
      records.fingerprint(record.text),
      len(record.text),
      record.source,
      record.group,
      record.offset,
    )
    for record in corpus.read(shard)
  ]
  columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
  return pa.table(
    [
      pa.array(list(column), field.type)
      for column, field in zip(columns, _SCHEMA, strict=True)
    ],
    schema=_SCHEMA,
  )


def combined(shards: Iterable[tuple[str, np.ndarray]]) -> str:
  """The fingerprint of a corpus, in hex.

  Args:
    shards: in the corpus's order: name, and its records' fingerprints (uint64).
  """
  digest = xxhash.xxh3_64()
  for shard, fingerprints in shards:
    name = shard.encode("utf-8")
    digest.update(b"%d:%s:%d:" % (len(name), name, len(fingerprints)))
    digest.update(fingerprints.astype("<u8").tobytes())
  return digest.hexdigest()


def _summary(manifest: artifacts.Manifest) -> dict[str, Any]:
  shards = []
  total = characters = 0
  for part, facts in sorted(
    manifest.parts.items(), key=lambda item: item[1]["number"]
  ):
    table = manifest.read_table(part, columns=["fingerprint", "characters"])
    shards.append((facts["shard"], table.column("fingerprint").to_numpy()))
    total += table.num_rows
    characters += int(table.column("characters").to_numpy().sum(dtype=np.int64))
  if not total:
    raise CorpusError(
      f"the corpus {manifest.identity['corpus']!r} is empty: its "
      f"{len(manifest.parts)} shards hold no record"
    )
  return {
    "fingerprint": combined(shards),
    "records": total,
    "characters": characters,
  }
