# SPDX-License-Identifier: Apache-2.0
"""Streams of embeddings: which vectors can be used, and blocks of one shape."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

Matrix = Shaped[np.ndarray, "n d"]


class VectorError(ValueError):
  """Embeddings that do not belong together."""


class Block(NamedTuple):
  """Usable vectors, filled up with zeros.

  Attributes:
    vectors: float32 [size, d].
    mask: which of them are not padding.
  """

  vectors: Float[np.ndarray, "b d"]
  mask: Bool[np.ndarray, " b"]


class Part(NamedTuple):
  """A run of a stream.

  Attributes:
    number: of the part, from 0.
    vectors: its usable vectors.
  """

  number: int
  vectors: Float[np.ndarray, "k d"]


def usable(block: Matrix) -> Bool[np.ndarray, " n"]:
  """Returns which vectors are finite and not zero."""
  return np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)


def usable_rows(block: Matrix) -> Float[np.ndarray, "k d"]:
  """Returns the vectors that can be used, as float32."""
  return np.asarray(block, np.float32)[usable(block)]


def padded(
  rows: Float[np.ndarray, "k d"], size: int, *, group: int = 1
) -> Iterator[Block]:
  """Yields `group` blocks of `size` vectors at a time, as one.

  A vector has the same place in a block of `size` whatever the group is.
  """
  whole = size * group
  for start in range(0, len(rows), whole):
    found = rows[start : start + whole]
    mask = np.arange(whole) < len(found)
    missing = whole - len(found)
    yield Block(np.pad(found, ((0, missing), (0, 0))), mask)


def parts(
  blocks: Iterable[Matrix], *, records: int, dimensions: int
) -> Iterator[Part]:
  """Cuts a stream into runs of `records` vectors, however it was blocked.

  Raises:
    VectorError: vectors of another dimension.
  """
  waiting: list[np.ndarray] = []
  count = number = 0
  for block in blocks:
    if block.shape[1] != dimensions:
      raise VectorError(
        f"vectors of several dimensions: {sorted({block.shape[1], dimensions})}"
      )
    waiting.append(block)
    count += len(block)
    if count >= records:
      rows = np.concatenate(waiting)
      whole = count - count % records
      for start in range(0, whole, records):
        yield Part(number, usable_rows(rows[start : start + records]))
        number += 1
      waiting, count = [rows[whole:]], count - whole
  if count:
    yield Part(number, usable_rows(np.concatenate(waiting)))
