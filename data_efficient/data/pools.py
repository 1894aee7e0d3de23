# SPDX-License-Identifier: Apache-2.0
"""The pool of a corpus as a selector ranks it, a shard at a time.

Scores are read once as far as memory goes. Shards are asked for by several
threads.
"""

import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from data_efficient.data import prepared, score_sets
from data_efficient.kernels import sampling
from data_efficient.selection import budget, drawing, interface, passes, ranking
from data_efficient.selection.candidates import Reached


class Read(NamedTuple):
  """What is known of the records of a shard.

  Attributes:
    shard: with their scores.
    pool: which of them are in the pool; None: all.
  """

  shard: interface.Shard
  pool: Bool[np.ndarray, " n"] | None

  @property
  def nbytes(self) -> int:
    """Bytes of its arrays."""
    arrays = (self.shard.scores, self.shard.others, self.pool)
    return sum(values.nbytes for values in arrays if values is not None)


class Records:
  """`candidates.Records` of one shard, with priorities as they are needed.

  Args:
    read: the shard.
    amounts: what each record counts in the budget; None: 1 each.
    selector: gives the priorities.
    seed: of selectors that draw.
  """

  def __init__(
    self,
    read: Read,
    amounts: Int64[np.ndarray, " n"] | None,
    selector: interface.Selector,
    seed: int,
  ):
    self.amounts = amounts
    self._shard, self._pool = read
    self._selector, self._seed = selector, seed
    self.records = self._shard.records
    if self._pool is not None:
      self.records = int(np.count_nonzero(self._pool))

  def scorable(self) -> Bool[np.ndarray, " n"]:
    """Which are in the pool and have a priority."""
    found = [np.zeros(0, bool)]
    for piece in self._shard.pieces():
      found.append(drawing.scorable(self._selector, piece, seed=self._seed))
    there = np.concatenate(found)
    return there if self._pool is None else there & self._pool

  def thinned(self, picked: slice) -> Float[np.ndarray, " m"]:
    """Priorities of some; of fewer than all, with keys of other positions."""
    shard = self._shard.taken(picked)
    values = self._selector.priorities(shard, seed=self._seed)
    if self._pool is None:
      return values
    return np.where(self._pool[picked], values, values.dtype.type(np.nan))

  def reaching(self, low: float) -> Reached:
    """All of the pool that have at least this priority."""
    rows, values = [np.zeros(0, np.int32)], []
    for piece in self._shard.pieces():
      found, priorities = drawing.reaching(
        self._selector, piece, seed=self._seed, low=low
      )
      if self._pool is not None:
        inside = self._pool[piece.start + found]
        found, priorities = found[inside], priorities[inside]
      rows.append((piece.start + found).astype(np.int32))
      values.append(priorities)
    kept = np.concatenate(rows)
    amounts = None if self.amounts is None else self.amounts[kept]
    return Reached(kept, np.concatenate(values or [np.zeros(0)]), amounts)


class Pool:
  """The pool's records, their scores, and what they count.

  Args:
    corpus: the corpus.
    selector: gives the priorities.
    seed: of selectors that draw.
    scores: for selectors that read some.
    others: for selectors that read two score sets.
    counted: token counts, for a budget of tokens.
    limit: bytes of scores that are held.

  Attributes:
    names: of the corpus's shards, in its order.
    sizes: records of each.
  """

  def __init__(
    self,
    *,
    corpus: prepared.Prepared,
    selector: interface.Selector,
    seed: int,
    scores: score_sets.ScoreSet | None,
    others: score_sets.ScoreSet | None = None,
    counted: score_sets.ScoreSet | None = None,
    limit: int = 2 * 2**30,
  ):
    self.names = list(corpus.index.shards)
    self.sizes = list(corpus.index.shards.values())
    self._corpus, self._selector, self._seed = corpus, selector, seed
    self._scores, self._others, self._counted = scores, others, counted
    self._held: dict[int, Read] = {}
    self._room, self._lock = limit, threading.Lock()
    if self.names:
      # The splits are made by one thread, and read by all.
      corpus.pool_mask(self.names[0])

  def __getstate__(self) -> dict:
    """All but what is held, for another process."""
    state = {**self.__dict__, "_held": {}}
    del state["_lock"]
    return state

  def __setstate__(self, state: dict) -> None:
    self.__dict__.update(state, _lock=threading.Lock())

  def ranking(self, each: passes.Each | None = None) -> ranking.Ranking:
    """The records by priority; see there for `each`."""
    return ranking.Ranking(self.sizes, self.records, each=each)

  def records(self, number: int) -> Records:
    """The records of a shard."""
    amounts = None
    if self._counted is not None:
      amounts = self.token_counts(self._counted, number)
    return Records(self.read(number), amounts, self._selector, self._seed)

  def read(self, number: int) -> Read:
    """Scores of a shard, and which of its records are in the pool.

    Raises:
      ArtifactError: damaged scores.
    """
    held = self._held.get(number)
    if held is not None:
      return held
    name = self.names[number]
    pool = self._corpus.pool_mask(name)
    shard = interface.Shard(
      name,
      self.sizes[number],
      self._scores and self._scores.shard_column(name, "score"),
      self._others and self._others.shard_column(name, "score"),
    )
    found = Read(shard, None if pool.all() else pool)
    with self._lock:
      if number not in self._held and found.nbytes <= self._room:
        self._room -= found.nbytes
        self._held[number] = found
    return found

  def token_counts(
    self, counts: score_sets.ScoreSet, number: int
  ) -> Int64[np.ndarray, " n"]:
    """Of the pool's records; a record without a count has no token.

    Raises:
      SelectionError: a count that is none.
    """
    name = self.names[number]
    found = np.nan_to_num(counts.shard_column(name, "score"))
    pool = self.read(number).pool
    return budget.token_counts(
      found if pool is None else np.where(pool, found, 0),
      interface.Shard(name, self.sizes[number]),
    )

  def pieces(self, number: int) -> Iterator[interface.Shard]:
    """The pool's records of a shard in runs, their positions lost."""
    shard, pool = self.read(number)
    if pool is not None:
      shard = shard.taken(np.flatnonzero(pool))
    return shard.pieces()

  def weight_summary(self) -> sampling.WeightSummary:
    """How uneven the sampling weights are; of no record if none are drawn."""
    found = sampling.WeightSummary()
    if isinstance(self._selector, drawing.Drawing):
      for one in passes.mapped(self._weight_summary, len(self.names)):
        found = found.joined(one)
    return found

  def _weight_summary(self, number: int) -> sampling.WeightSummary:
    found = sampling.WeightSummary()
    for piece in self.pieces(number):
      found = found.joined(self._selector.weight_summary(piece))
    return found
