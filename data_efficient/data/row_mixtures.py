# SPDX-License-Identifier: Apache-2.0
"""Rows of several kinds in fixed shares, each a function of (seed, number)."""

from collections.abc import Sequence

import numpy as np

from data_efficient.data import instruction_rows


class Mixture:
  """Rows of several kinds in fixed shares; endless.

  Of any `BLOCK` rows from a multiple of it on, each kind has exactly its share;
  where they stand among them is drawn. Row i is a function of (seed, i).

  Args:
    parts: (share, rows), shares above 0 that sum to 1.
  """

  BLOCK = 1000

  def __init__(self, parts: Sequence[tuple[float, instruction_rows.Rows]]):
    self._rows = [rows for _, rows in parts]
    self._counts = shared([share for share, _ in parts], self.BLOCK)
    self._last: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

  def draw(self, number: int, seed: int) -> instruction_rows.Row:
    """The row of a number, from 0."""
    block, place = divmod(number, self.BLOCK)
    part, rank = self._block(block, seed)
    kind = int(part[place])
    own = block * self._counts[kind] + int(rank[place])
    return self._rows[kind].draw(own, seed)

  def _block(self, block: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each row of a block, and its number within that kind."""
    last = self._last
    if last is None or last[0] != (seed, block):
      part = np.repeat(np.arange(len(self._counts)), self._counts)
      part = part[instruction_rows.order(self.BLOCK, seed=seed, epoch=block)]
      rank = np.zeros(self.BLOCK, np.int64)
      for kind, count in enumerate(self._counts):
        rank[part == kind] = np.arange(count)
      self._last = last = ((seed, block), part, rank)
    return last[1], last[2]


def shared(shares: Sequence[float], total: int) -> list[int]:
  """Whole numbers in proportion to shares: those of the largest remainders."""
  exact = np.array(shares) * total
  counts = np.floor(exact + 1e-9).astype(int)
  short = total - counts.sum()
  counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
  return counts.tolist()
