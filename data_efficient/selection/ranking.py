# SPDX-License-Identifier: Apache-2.0
"""Where a budget cuts the one ranking of a corpus's records.

Records are ranked by priority; ties go to the earlier shard, then to the
earlier position. The ranking is never made: a sample of the priorities says
about where the cut is, and what lies there is counted exactly. So a corpus of
any size is cut in a few passes over its shards, in the memory of one shard and
of what `Replayed` may hold.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

_SAMPLED = 1 << 20  # priorities of a corpus that are looked at for the bracket
_SIGMAS = 6.0


class Candidates(NamedTuple):
  """The records of one shard, in order.

  Attributes:
    priorities: float [n]; NaN is never kept.
    amounts: what each record counts in the budget, int64 [n], from 0; None: 1
      each.
    records: how many of them the corpus's records are counted with.
  """

  priorities: Float[np.ndarray, " n"]
  amounts: Int64[np.ndarray, " n"] | None
  records: int


Shards = Callable[[], Iterator[Candidates]]


class Totals(NamedTuple):
  """Sums over a corpus.

  Attributes:
    rows: all records, also those that do not count.
    records: those that count.
    scorable: records with a priority.
    amount: of all records that count.
    available: amount of the records with a priority.
    largest: amount of one record.
  """

  rows: int
  records: int
  scorable: int
  amount: int
  available: int
  largest: int


class Cut(NamedTuple):
  """The last record that is kept, and the priorities next to it.

  Attributes:
    threshold: its priority.
    number: its number in the corpus, all shards one after the other.
    values: the distinct priorities from the cut on, descending, as far as one
      record's absence can move it.
    sums: the amount of all records that have each value or a higher one.
    wanted: the budget.
  """

  threshold: float
  number: int
  values: np.ndarray
  sums: np.ndarray
  wanted: int

  def keeps(
    self, priorities: np.ndarray, *, first: int
  ) -> Bool[np.ndarray, "_"]:
    """Whether each of the records from number `first` on is kept."""
    tied = np.zeros(len(priorities), bool)
    tied[: max(self.number + 1 - first, 0)] = True
    tied &= priorities == self.threshold
    return (priorities > self.threshold) | tied

  def thresholds(self, amounts: np.ndarray) -> np.ndarray:
    """For kept records of these amounts: the priority they had to exceed.

    Without the record the others meet the budget at some record of theirs; it
    is kept if it ranks before that one. −∞ where the others do not meet it.
    """
    # The others' sum up to a place after a kept record is the sum less its own.
    ranked = np.append(self.values.astype(np.float64), -np.inf)
    return ranked[np.searchsorted(self.sums, self.wanted + amounts)]


def totals(shards: Shards) -> Totals:
  """One pass: how much there is."""
  found = Totals(*[0] * len(Totals._fields))
  for block in shards():
    there = ~np.isnan(block.priorities)
    scorable = int(np.count_nonzero(there))
    counts = (len(there), block.records, scorable)
    if block.amounts is None:
      amounts = (block.records, scorable, 1)
    else:
      amounts = (
        int(block.amounts.sum()),
        int(block.amounts[there].sum()),
        int(block.amounts.max(initial=0)),
      )
    *sums, largest = (*counts, *amounts)
    found = Totals(
      *(old + new for old, new in zip(found, sums, strict=False)),
      largest=max(found.largest, largest),
    )
  return found


def cut(shards: Shards, wanted: int, found: Totals) -> Cut:
  """Finds the first record with which the sum of amounts reaches `wanted`.

  Args:
    shards: the candidates, the same each time they are asked for.
    wanted: from 1 to `found.available`.
    found: `totals(shards)`.
  """
  # Up to here a record's absence can move the cut.
  end = min(wanted + found.largest, found.available)
  sample = _sample(shards, found.rows)
  slack = _SIGMAS * math.sqrt(len(sample.values)) + 1
  while True:
    high = sample.value_at(wanted, found.available, -slack)
    low = sample.value_at(end, found.available, slack)
    above, values, sums = _between(shards, low, high)
    sums = above + np.cumsum(sums)
    if above < wanted and end <= (sums[-1] if len(sums) else above):
      break
    slack *= 8  # a few large amounts: look farther
  place = int(np.searchsorted(sums, wanted))
  before = int(sums[place - 1]) if place else above
  threshold = float(values[place])
  number = _tie(shards, threshold, wanted - before)
  return Cut(threshold, number, values[place:], sums[place:], wanted)


class _Sample(NamedTuple):
  """Some priorities, descending, and the sums of their amounts."""

  values: np.ndarray
  sums: np.ndarray

  def value_at(self, place: int, of: int, shift: float) -> float:
    """About the priority at which the sum is `place`; ±∞ beyond the ends.

    `shift` is in sampled records, towards lower priorities.
    """
    if not len(self.values):
      return -math.copysign(math.inf, shift)
    where = np.searchsorted(self.sums, place / of * self.sums[-1]) + shift
    if where < 0:
      return math.inf
    # A Python float is compared in the priorities' own precision.
    last = len(self.values)
    return float(self.values[int(where)]) if where < last else -math.inf


def _sample(shards: Shards, rows: int) -> _Sample:
  step, offset = -(-rows // _SAMPLED), 0
  priorities, amounts = [np.zeros(0)], [np.zeros(0)]
  for block in shards():
    # Every step-th record of the corpus, whatever the lengths of its shards.
    picked = slice(-offset % step, None, step)
    offset += len(block.priorities)
    values = block.priorities[picked]
    there = ~np.isnan(values)
    counts = (
      np.ones(len(values)) if block.amounts is None else block.amounts[picked]
    )
    priorities.append(values[there])
    amounts.append(counts[there])
  values, counts = np.concatenate(priorities), np.concatenate(amounts)
  order = np.argsort(-values)
  return _Sample(values[order], np.cumsum(counts[order]))


def _between(
  shards: Shards, low: float, high: float
) -> tuple[int, np.ndarray, np.ndarray]:
  """The amount above `high`; distinct values in [low, high], and amounts."""
  above, values, sums = 0, [np.zeros(0)], [np.zeros(0, np.int64)]
  for block in shards():
    over = block.priorities > high
    inside = block.priorities >= low
    inside &= ~over
    if block.amounts is None:
      above += int(np.count_nonzero(over))
      counts = None
    else:
      above += int(block.amounts[over].sum())
      counts = block.amounts[inside]
    found, total = _distinct(block.priorities[inside], counts)
    values.append(found)
    sums.append(total)
  found, total = _distinct(np.concatenate(values), np.concatenate(sums))
  return above, found[::-1], total[::-1]


def _distinct(
  values: np.ndarray, amounts: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
  """Distinct values, ascending, and the sum of amounts of each, int64."""
  if amounts is None:
    return np.unique(values, return_counts=True)
  found, which = np.unique(values, return_inverse=True)
  sums = np.zeros(len(found), np.int64)
  np.add.at(sums, which, amounts)
  return found, sums


def _tie(shards: Shards, threshold: float, missing: int) -> int:
  """The record with which those at the threshold reach what is missing."""
  offset = 0
  for block in shards():
    tied = np.flatnonzero(block.priorities == threshold)
    sums = np.cumsum(
      np.ones(len(tied), np.int64)
      if block.amounts is None
      else block.amounts[tied]
    )
    if len(sums) and sums[-1] >= missing:
      return offset + int(tied[np.searchsorted(sums, missing)])
    missing -= int(sums[-1]) if len(sums) else 0
    offset += len(block.priorities)
  raise AssertionError("the shards changed while they were cut")


class Replayed:
  """Candidates that are made once, as far as memory goes, then again.

  Args:
    make: yields a maker for each shard.
    limit: bytes to hold.
  """

  def __init__(
    self, make: Callable[[], Iterator[Callable[[], Candidates]]], limit: int
  ):
    self._make, self._limit = make, limit
    self._held: list[Candidates] = []
    self._full = False

  def __call__(self) -> Iterator[Candidates]:
    """Yields the candidates of each shard."""
    for number, maker in enumerate(self._make()):
      if number < len(self._held):
        yield self._held[number]
        continue
      block = maker()
      self._hold(block)
      yield block

  def _hold(self, block: Candidates) -> None:
    arrays = [block.priorities, block.amounts]
    size = sum(array.nbytes for array in arrays if array is not None)
    if size > self._limit:
      self._full = True
    if not self._full:
      self._limit -= size
      self._held.append(block)
