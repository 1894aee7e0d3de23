# SPDX-License-Identifier: Apache-2.0
"""Ragged token lists to padded batches of few, fixed shapes.

The bits of a matrix product change with the batch's shape, so all batches of
one length have the same number of rows (a short one is padded with empty
rows), and lengths are multiples of one step: a handful of shapes to compile.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
  """Which sequences share a batch, and its shape.

  Attributes:
    items: positions of the sequences, at most `rows`.
    rows: rows of the padded batch.
    length: tokens of the padded batch, at least its longest sequence.
  """

  items: list[int]
  rows: int
  length: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Buckets:
  """The shapes that batches may have.

  Attributes:
    longest: no sequence is longer than this many tokens.
    step: lengths are multiples of it; so there are ⌈longest / step⌉ shapes.
    batch_tokens: rows × length of a batch is at most this, but for one row a
      device.
  """

  longest: int
  step: int
  batch_tokens: int

  def __post_init__(self):
    """Raises ValueError for numbers that make no batch."""
    if min(self.longest, self.step, self.batch_tokens) < 1:
      raise ValueError(f"{self}: each number must be at least 1")

  def length(self, tokens: int) -> int:
    """The padded length of a sequence of so many tokens.

    Raises:
      ValueError: longer than `longest`.
    """
    if tokens > self.longest:
      raise ValueError(
        f"a sequence of {tokens} tokens, the longest batches have "
        f"{self.longest}: cut it, or raise the limit"
      )
    return max(1, -(-tokens // self.step)) * self.step

  def rows(self, length: int, multiple: int = 1) -> int:
    """Rows of the batches of a length, a multiple of `multiple`."""
    return max(1, self.batch_tokens // length // multiple) * multiple

  def batches(self, tokens: Sequence[int], *, multiple: int = 1) -> list[Batch]:
    """Sequences of these lengths in batches, similar lengths together.

    What does not fill the last batch of a length moves to the next length
    where that pads fewer tokens than a batch of its own would.

    Args:
      tokens: length of each sequence, 0 or more.
      multiple: devices that share a batch's rows.
    """
    by_length: dict[int, list[int]] = {}
    for item, count in enumerate(tokens):
      by_length.setdefault(self.length(count), []).append(item)
    lengths = sorted(by_length)
    found: list[Batch] = []
    moved: list[int] = []
    for at, length in enumerate(lengths):
      items, rows = moved + by_length[length], self.rows(length, multiple)
      rest = len(items) % rows
      full = len(items) - rest
      found += [
        Batch(items[start : start + rows], rows, length)
        for start in range(0, full, rows)
      ]
      moved = items[full:]
      longer = lengths[at + 1] if at + 1 < len(lengths) else None
      # A batch of their own costs rows × length, moving them up at most
      # so many rows of the longer one.
      if rest and (longer is None or rest * longer > rows * length):
        found.append(Batch(moved, rows, length))
        moved = []
    return found


def padded(
  sequences: Sequence[Sequence[int]],
  batch: Batch,
  *,
  length: int | None = None,
  left: bool = False,
  padding: int = 0,
) -> np.ndarray:
  """Token ids int32 [rows, length] of a batch's sequences, padded.

  Args:
    sequences: all sequences; those of `batch.items` are taken.
    batch: of which rows.
    length: of the rows; the batch's by default.
    left: padding goes before the tokens and not after them.
    padding: its id.
  """
  length = batch.length if length is None else length
  tokens = np.full((batch.rows, length), padding, np.int32)
  for row, item in zip(tokens, batch.items, strict=False):
    pieces = sequences[item]
    if left:
      row[length - len(pieces) :] = pieces
    else:
      row[: len(pieces)] = pieces
  return tokens
