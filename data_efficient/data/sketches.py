# SPDX-License-Identifier: Apache-2.0
"""A density sketch as a file: counters, and the parts that are in them.

One file, replaced as a whole, so that counters and parts always belong
together; a pass that is killed goes on from it to the same bytes. Layout:

  "density sketch\\n"             15 bytes
  length of the header           8 bytes, little-endian
  header                         JSON, see `_header`
  counters                       int32, little-endian, by rows; zstd
  xxh3_128 of all of the above   16 bytes

Sketches of different parts of one pool add up (`merged`): A ∪ B is what one
pass over both would have written, bit for bit.
"""

import itertools
import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from data_efficient.data import artifacts, manifests
from data_efficient.data.artifacts import ArtifactError
from data_efficient.scorers.sketch_store import Absorbed

FORMAT_VERSION = 1

_MAGIC = b"density sketch\n"
_DIGEST = 16
_LENGTH = 8
_CODEC = "zstd"


class Kept(NamedTuple):
  """A sketch and what it was made from.

  Attributes:
    identity: embeddings, seed, family, bandwidth, numerics and so on.
    absorbed: the sketch.
  """

  identity: dict[str, Any]
  absorbed: Absorbed


def write(path: artifacts.PathLike, kept: Kept) -> None:
  """Replaces a file by a sketch; readers see the old one or the new one."""
  counts = np.ascontiguousarray(kept.absorbed.counts, "<i4")
  body = pa.compress(counts, codec=_CODEC, asbytes=True)
  header = json.dumps(_header(kept), sort_keys=True, allow_nan=False).encode()
  length = len(header).to_bytes(_LENGTH, "little")
  data = b"".join((_MAGIC, length, header, body))
  artifacts.atomic_write(path, data + xxhash.xxh3_128_digest(data))


def read(path: artifacts.PathLike) -> Kept:
  """Returns the sketch in a file.

  Raises:
    ArtifactError: it is damaged, of another version, or no sketch.
    OSError: no such file.
  """
  data = memoryview(pathlib.Path(path).read_bytes())
  start = len(_MAGIC) + _LENGTH
  if data[: len(_MAGIC)] != _MAGIC:
    raise ArtifactError(f"{path}: not a density sketch: name another file")
  if xxhash.xxh3_128_digest(data[:-_DIGEST]) != data[-_DIGEST:]:
    raise ArtifactError(
      f"{path}: damaged (the checksum differs): delete it, and run the verb "
      "that made it again"
    )
  end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
  header = json.loads(bytes(data[start:end]))
  if header["format_version"] != FORMAT_VERSION:
    raise ArtifactError(
      f"{path}: format version {header['format_version']}; this program reads "
      f"version {FORMAT_VERSION}: make the sketch again"
    )
  rows, buckets = header["shape"]
  counts = pa.decompress(
    data[end:-_DIGEST],
    decompressed_size=4 * rows * buckets,
    codec=_CODEC,
    asbytes=True,
  )
  return Kept(
    header["identity"],
    Absorbed(
      width=header["width"],
      dimensions=header["dimensions"],
      records=header["records"],
      parts=tuple(
        number for low, high in header["parts"] for number in range(low, high)
      ),
      counts=np.frombuffer(counts, "<i4").reshape(rows, buckets),
      total=header["total"],
    ),
  )


def merged(left: Kept, right: Kept) -> Kept:
  """Returns the sketch of the parts of both.

  Raises:
    ArtifactError: another seed, family, bandwidth, embedding set, pool or
      shape (names each), or parts that are in both.
  """
  check(right, left, "a sketch cannot be merged with one")
  common = sorted(set(left.absorbed.parts) & set(right.absorbed.parts))
  if common:
    raise ArtifactError(
      f"both sketches hold {len(common)} parts, the first is part {common[0]}: "
      "they would be counted twice; merge sketches of different parts"
    )
  return left._replace(
    absorbed=left.absorbed._replace(
      parts=tuple(sorted((*left.absorbed.parts, *right.absorbed.parts))),
      counts=left.absorbed.counts + right.absorbed.counts,
      total=left.absorbed.total + right.absorbed.total,
    )
  )


def check(found: Kept, expected: Kept, where: str) -> None:
  """Compares what two sketches were made from.

  Raises:
    ArtifactError: they differ; names each field.
  """
  artifacts.check_identity(where, _made_from(found), _made_from(expected))


def _header(kept: Kept) -> dict[str, Any]:
  found = kept.absorbed
  return {
    "format_version": FORMAT_VERSION,
    **_made_from(kept),
    "parts": list(_ranges(found.parts)),
    "total": found.total,
  }


def _made_from(kept: Kept) -> dict[str, Any]:
  """What two sketches must share to be one."""
  found = kept.absorbed
  return {
    "identity": manifests.plain(kept.identity, "identity"),
    "width": found.width,
    "dimensions": found.dimensions,
    "records": found.records,
    "shape": list(found.counts.shape),
  }


def _ranges(numbers: Iterable[int]) -> Iterable[list[int]]:
  """Yields runs of ascending numbers as [first, last + 1]."""
  runs = itertools.groupby(
    enumerate(numbers), key=lambda pair: pair[1] - pair[0]
  )
  for _, run in runs:
    found = [number for _, number in run]
    yield [found[0], found[-1] + 1]
