# SPDX-License-Identifier: Apache-2.0
"""What one record of a corpus is, and the fingerprint of its text."""

from typing import NamedTuple

import xxhash


class Record(NamedTuple):
  """One document of a corpus.

  Its identity is (corpus, shard, `position`); `source` and `group` are labels
  for tables and for splits, and are no part of the identity.

  Attributes:
    position: row in its shard, from 0.
    text: the document.
    source: where it came from ("c4", "numpy/docstring"), "" if unknown.
    group: what must not be torn apart by a split (module, domain, book);
      "" means that the record is its own group.
    id: `tfds_id`, or "{shard}__{position}" for files.
    offset: the byte of its shard's file where it begins; -1 where the file
      cannot be read from the middle by bytes (compressed files, Parquet).
  """

  position: int
  text: str
  source: str
  group: str
  id: str
  offset: int = -1


def record_id(shard: str, position: int) -> str:
  """Returns the identifier of a record: "{shard}__{position}", as in TFDS."""
  return f"{shard}__{position}"


def fingerprint(text: str) -> int:
  """Returns the 64-bit xxh3 hash of the text's UTF-8 bytes, in [0, 2⁶⁴)."""
  return xxhash.xxh3_64_intdigest(text.encode("utf-8"))
