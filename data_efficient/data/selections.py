# SPDX-License-Identifier: Apache-2.0
"""Selections on disk: which records are kept, and with which weight."""

import collections
import concurrent.futures
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from data_efficient.data import artifacts
from data_efficient.data.artifacts import ArtifactError

KIND = "selection"
_WRITERS = 8  # parts that are on their way to the disk at once


class Bitmap(NamedTuple):
  """All records of a corpus as bits, in the order of shards and positions.

  Attributes:
    bits: uint8; record i is kept if bit i % 8 (least significant first) of
      byte i // 8 is 1.
    offsets: each shard's first record.
  """

  bits: np.ndarray
  offsets: dict[str, int]


class Selection:
  """A selection that was written before.

  Args:
    manifest: manifest of a finished selection.
  """

  def __init__(self, manifest: artifacts.Manifest):
    self._manifest = manifest
    parts = manifest.parts.items()
    self._parts = {
      facts["shard"]: part
      for part, facts in sorted(parts, key=lambda item: item[1]["number"])
    }

  @classmethod
  def open(cls, directory: artifacts.PathLike) -> "Selection":
    """Opens a finished selection.

    Raises:
      ArtifactError: none is there, or it is unfinished or damaged.
    """
    return cls(artifacts.read_manifest(directory, kind=KIND))

  @property
  def directory(self) -> pathlib.Path:
    """Where it lies."""
    return self._manifest.directory

  @property
  def identity(self) -> dict[str, Any]:
    """What it was made from: corpus, sampler, budget, seed, …"""
    return self._manifest.identity

  @property
  def summary(self) -> dict[str, Any]:
    """Figures that the selector left."""
    return self._manifest.summary

  @functools.cached_property
  def shards(self) -> dict[str, int]:
    """Records of the corpus, kept or not, in each shard."""
    facts = self._manifest.parts
    return {
      shard: facts[part]["shard_records"] for shard, part in self._parts.items()
    }

  @functools.cached_property
  def kept(self) -> dict[str, int]:
    """Records kept of each shard."""
    facts = self._manifest.parts
    return {
      shard: facts[part]["records"] for shard, part in self._parts.items()
    }

  @property
  def records(self) -> int:
    """Records kept."""
    return sum(facts["records"] for facts in self._manifest.parts.values())

  def is_whole(self) -> bool:
    """Whether all parts are there in their lengths; contents are not read."""
    parts = self._manifest.parts
    return all(
      path.is_file() and path.stat().st_size == parts[path.name]["bytes"]
      for path in (self.directory / part for part in parts)
    )

  def positions(self, shard: str) -> np.ndarray:
    """Returns the kept positions of a shard, int64, ascending."""
    return self._column(shard, "position")

  def weights(self, shard: str) -> np.ndarray:
    """Returns the weights of the kept positions, float32."""
    return self._column(shard, "weight")

  def mask(self, shard: str) -> np.ndarray:
    """Returns for each record of a shard whether it is kept."""
    part, records = self._part(shard)
    if self._manifest.parts[part]["records"] == records:
      return np.ones(records, bool)
    mask = np.zeros(records, bool)
    mask[self.positions(shard)] = True
    return mask

  def fingerprint(self) -> str:
    """xxh3_64, in hex, of the corpus's fingerprint and the kept positions."""
    corpus = self.identity["corpus"]["fingerprint"]
    digest = xxhash.xxh3_64(corpus.encode())
    for shard in self.shards:
      positions = self.positions(shard).astype("<i8")
      digest.update(f"{len(positions)}:".encode())
      digest.update(positions.tobytes())
    return digest.hexdigest()

  def bitmap(self) -> Bitmap:
    """Returns the whole selection as bits, an eighth of a byte a record."""
    starts = np.cumsum([0, *self.shards.values()]).tolist()
    mask = np.zeros(starts[-1], bool)
    for start, shard in zip(starts, self.shards, strict=False):
      mask[start + self.positions(shard)] = True
    return Bitmap(
      np.packbits(mask, bitorder="little"),
      dict(zip(self.shards, starts, strict=False)),
    )

  def check_corpus(self, description: dict[str, Any]) -> None:
    """Compares the corpus of the selection with another.

    Args:
      description: `CorpusIndex.describe()` of the corpus at hand.

    Raises:
      ArtifactError: they differ; names fingerprint, shards and counts.
    """
    self._manifest.check_corpus(description)

  def _part(self, shard: str) -> tuple[str, int]:
    if shard not in self._parts:
      raise ArtifactError(
        f"{self._manifest.directory}: no shard {shard!r}; the selection has "
        f"{', '.join(list(self._parts)[:5])} …"
      )
    return self._parts[shard], self.shards[shard]

  def _column(self, shard: str, name: str) -> np.ndarray:
    part, _ = self._part(shard)
    table = self._manifest.read_table(part, columns=[name])
    return table.column(name).to_numpy()


def write(
  directory: artifacts.PathLike,
  *,
  identity: dict[str, Any],
  kept: Iterable[tuple[str, np.ndarray, np.ndarray]],
  shards: Mapping[str, int],
  summary: Callable[[], dict[str, Any]],
) -> Selection:
  """Writes a selection; does nothing if it is there already.

  A shard is written as it comes: what was written before another one fails is
  there when the same selection is written again.

  Args:
    directory: where it goes.
    identity: what it is made from; `identity["corpus"]` is
      `CorpusIndex.describe()`.
    kept: shards with the kept positions (int64, ascending) and their weights
      (positive); a shard that does not come keeps nothing.
    shards: records in each shard, in the corpus's order.
    summary: figures to keep, asked for at the end.

  Raises:
    ArtifactError: an unknown shard, positions out of range or order, weights
      that are not positive and finite, or another selection lies there.
  """
  if "corpus" not in identity:
    raise ArtifactError(f"{directory}: no corpus in the selection to write")
  left = {shard: number for number, shard in enumerate(shards)}

  def rows() -> Iterator[tuple]:
    for shard, positions, weights in kept:
      if shard not in left:
        raise ArtifactError(
          f"{directory}: unknown shard {shard!r} in the selection to write"
        )
      yield left.pop(shard), shard, shards[shard], positions, weights
    for shard, number in left.items():
      yield number, shard, shards[shard], (), ()

  with artifacts.Writer(directory, kind=KIND, identity=identity) as writer:
    if not writer.complete:
      _write_shards(writer, rows())
      writer.finish(**summary())
  return Selection.open(directory)


def _write_shards(writer: artifacts.Writer, rows: Iterable[tuple]) -> None:
  """Writes parts as they come, several at once: each waits for the disk."""
  waiting: collections.deque[concurrent.futures.Future] = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(_WRITERS) as pool:
    for row in rows:
      waiting.append(pool.submit(_write_shard, writer, *row))
      if len(waiting) > _WRITERS:
        waiting.popleft().result()
    for written in waiting:
      written.result()


def _write_shard(
  writer: artifacts.Writer,
  number: int,
  shard: str,
  records: int,
  positions: Any,
  weights: Any,
) -> None:
  part = f"{number:05d}.parquet"
  table = _table(positions, weights, shard, records)
  if not writer.has(part):
    facts = {"shard": shard, "shard_records": records, "number": number}
    writer.write_table(part, table, **facts)


def _table(positions: Any, weights: Any, shard: str, records: int) -> pa.Table:
  positions = np.asarray(positions, np.int64)
  weights = np.asarray(weights, np.float32)
  if positions.ndim != 1 or positions.shape != weights.shape:
    raise ArtifactError(
      f"shard {shard}: {positions.shape} positions for {weights.shape} weights"
    )
  if positions.size and (
    positions[0] < 0
    or positions[-1] >= records
    or np.any(np.diff(positions) < 1)
  ):
    raise ArtifactError(
      f"shard {shard}: positions must ascend within 0 … {records - 1}"
    )
  if not np.all((weights > 0) & np.isfinite(weights)):
    bad = positions[~((weights > 0) & np.isfinite(weights))][0]
    raise ArtifactError(
      f"shard {shard}, position {bad}: a weight must be positive and finite"
    )
  return pa.table({"position": positions, "weight": weights})
