# SPDX-License-Identifier: Apache-2.0
"""Where a budget cuts the one ranking of a corpus's records.

Records are ranked by priority; ties go to the earlier shard, then to the
earlier position. The ranking is never made: a sample of the priorities says
about where the cut is, and the records from there up are counted exactly. So
a corpus of any size is cut in two passes over its shards, by all processors,
in the memory of a few shards and of what `Ranking` may hold.
"""

import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from data_efficient.selection import passes
from data_efficient.selection.candidates import Reached, Records, Totals

_SAMPLED = 1 << 20  # priorities of a corpus that are looked at for the bracket
_SIGMAS = 6.0


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
    self, priorities: np.ndarray, numbers: np.ndarray
  ) -> Bool[np.ndarray, "_"]:
    """Whether each of the records of these numbers in the corpus is kept."""
    tied = (priorities == self.threshold) & (numbers <= self.number)
    return (priorities > self.threshold) | tied

  def thresholds(self, amounts: np.ndarray) -> np.ndarray:
    """For kept records of these amounts: the priority they had to exceed.

    Without the record the others meet the budget at some record of theirs; it
    is kept if it ranks before that one. −∞ where the others do not meet it.
    """
    # The others' sum up to a place after a kept record is the sum less its own.
    ranked = np.append(self.values.astype(np.float64), -np.inf)
    return ranked[np.searchsorted(self.sums, self.wanted + amounts)]


class Ranking:
  """The records of a corpus, by priority.

  Args:
    sizes: records in each shard.
    shard: the records of the shard with a number, the same each time; called
      from several threads.
    limit: bytes of records from the cut up that are held; what is beyond is
      made again when it is needed.
    each: applies a function to the number of each shard, and yields its tuples
      of arrays in order: `passes.mapped`, or what does so elsewhere.
  """

  def __init__(
    self,
    sizes: Sequence[int],
    shard: Callable[[int], Records],
    *,
    limit: int = 2 * 2**30,
    each: passes.Each | None = None,
  ):
    self._starts = np.cumsum([0, *sizes])
    self._shard, self._each = shard, each or passes.mapped
    self._room = self._limit = limit
    self._low, self._held = math.inf, {}
    self._lock = threading.Lock()

  def __getstate__(self) -> dict:
    """All but what is held, for another process."""
    state = {
      **self.__dict__,
      "_low": math.inf,
      "_held": {},
      "_each": passes.mapped,
    }
    del state["_lock"]
    return state

  def __setstate__(self, state: dict) -> None:
    self.__dict__.update(state, _lock=threading.Lock())

  @property
  def totals(self) -> Totals:
    """How much there is."""
    return self._survey[0]

  def quantiles(self) -> Float[np.ndarray, " m"]:
    """About 2²⁰ priorities, ascending, at even distances in the ranking.

    All of them, where there are fewer.
    """
    return self._survey[1].values[::-1]

  def cut(self, wanted: int) -> Cut:
    """Finds the first record with which the sum of amounts reaches `wanted`.

    Args:
      wanted: from 1 to `totals.available`.
    """
    found, sample = self._survey
    # Up to here a record's absence can move the cut.
    end = min(wanted + found.largest, found.available)
    slack = _SIGMAS * math.sqrt(len(sample.values)) + 1
    while True:
      high = sample.value_at(wanted, found.available, -slack)
      low = sample.value_at(end, found.available, slack)
      above, values, sums = self._between(low, high)
      sums = above + np.cumsum(sums)
      if above < wanted and end <= (sums[-1] if len(sums) else above):
        break
      slack *= 8  # a few large amounts: look farther
    place = int(np.searchsorted(sums, wanted))
    before = int(sums[place - 1]) if place else above
    threshold = float(values[place])
    number = self._tie(threshold, wanted - before)
    return Cut(threshold, number, values[place:], sums[place:], wanted)

  def kept(self, cut: Cut) -> Iterator[Reached]:
    """Yields for each shard what is kept of it."""
    for found in self._over_shards(self._kept, cut):
      yield Reached(*found[:2], found[2] if len(found) > 2 else None)

  def _over_shards(self, function: Callable, *arguments: object) -> Iterator:
    return self._each(
      functools.partial(function, *arguments), len(self._starts) - 1
    )

  @functools.cached_property
  def _survey(self) -> tuple[Totals, "_Sample"]:
    """One pass: the totals, and every step-th record of the corpus."""
    step = max(1, -(-int(self._starts[-1]) // _SAMPLED))
    totals = Totals()
    priorities, amounts = [np.zeros(0)], [np.zeros(0)]
    for found, values, counts in self._over_shards(self._looked, step):
      totals = totals.joined(Totals(*found.tolist()))
      priorities.append(values)
      amounts.append(counts)
    values, counts = np.concatenate(priorities), np.concatenate(amounts)
    order = np.argsort(-values)
    return totals, _Sample(values[order], np.cumsum(counts[order]))

  def _looked(self, step: int, number: int) -> tuple[np.ndarray, ...]:
    """The totals of a shard, and the priorities and amounts of some."""
    shard = self._shard(number)
    there = shard.scorable()
    scorable = int(np.count_nonzero(there))
    totals = Totals(shard.records, scorable, shard.records, scorable, 1)
    picked = slice(-int(self._starts[number]) % step, None, step)
    values = shard.thinned(picked)
    counts = np.ones(len(values))
    if shard.amounts is not None:
      totals = totals._replace(
        amount=int(shard.amounts.sum()),
        available=int(shard.amounts[there].sum()),
        largest=int(shard.amounts.max(initial=0)),
      )
      counts = shard.amounts[picked]
    known = ~np.isnan(values)
    return np.array(totals, np.int64), values[known], counts[known]

  def _between(
    self, low: float, high: float
  ) -> tuple[int, np.ndarray, np.ndarray]:
    """The amount above `high`; distinct values in [low, high], and amounts."""
    if not low >= self._low:
      self._low, self._held, self._room = low, {}, self._limit
    above, values, sums = 0, [np.zeros(0)], [np.zeros(0, np.int64)]
    for over, found, amounts in self._over_shards(self._counted, low, high):
      above += int(over)
      values.append(found)
      sums.append(amounts)
    found, total = _distinct(np.concatenate(values), np.concatenate(sums))
    return above, found[::-1], total[::-1]

  def _counted(
    self, low: float, high: float, number: int
  ) -> tuple[np.ndarray, ...]:
    found = self._reached(low, number)
    over = found.priorities > high
    inside = found.priorities >= low
    inside &= ~over
    if found.amounts is None:
      above, amounts = np.count_nonzero(over), None
    else:
      above, amounts = found.amounts[over].sum(), found.amounts[inside]
    values, sums = _distinct(found.priorities[inside], amounts)
    return np.array(above), values, sums

  def _tie(self, threshold: float, missing: int) -> int:
    """The record with which those at the threshold reach what is missing."""
    tied = self._over_shards(self._tied, threshold)
    for number, (rows, sums) in enumerate(tied):
      if len(sums) and sums[-1] >= missing:
        row = rows[np.searchsorted(sums, missing)]
        return int(self._starts[number] + row)
      missing -= int(sums[-1]) if len(sums) else 0
    raise AssertionError("the shards changed while they were cut")

  def _tied(self, threshold: float, number: int) -> tuple[np.ndarray, ...]:
    """The rows at the threshold, and the sums of their amounts."""
    found = self._reached(threshold, number)
    tied = found.priorities == threshold
    if found.amounts is None:
      sums = np.arange(1, np.count_nonzero(tied) + 1)
    else:
      sums = np.cumsum(found.amounts[tied])
    return found.rows[tied], sums

  def _kept(self, cut: Cut, number: int) -> tuple[np.ndarray, ...]:
    found = self._reached(cut.threshold, number)
    rows = cut.keeps(found.priorities, found.rows + self._starts[number])
    return tuple(values[rows] for values in found if values is not None)

  def _reached(self, low: float, number: int) -> Reached:
    """A shard's records from `low` up, and perhaps some below."""
    held = self._held.get(number) if low >= self._low else None
    if held is not None:
      return held
    found = self._shard(number).reaching(low)
    # What is held reaches down to self._low.
    if low == self._low:
      with self._lock:
        if _size(found) <= self._room:
          self._room -= _size(found)
          self._held[number] = found
    return found


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


def _size(found: Reached) -> int:
  return sum(values.nbytes for values in found if values is not None)


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
