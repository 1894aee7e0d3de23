# SPDX-License-Identifier: Apache-2.0
"""The one ranking of a corpus's records, and where a budget cuts it."""

from typing import NamedTuple

import numpy as np

from data_efficient.selection import interface


class Ranking(NamedTuple):
  """All records that can be kept, best first, and what each one costs.

  Attributes:
    order: their numbers in the corpus, all shards one after the other.
    amounts: what each record of the corpus counts in the budget.
    wanted: the budget: the first record with which the sum of amounts reaches
      it is the last one kept.
  """

  order: np.ndarray
  amounts: np.ndarray
  wanted: int

  def kept(self) -> np.ndarray:
    """Numbers of the kept records, best first."""
    last = np.searchsorted(self._sums(), self.wanted)
    return self.order[: int(last) + 1]

  def thresholds(self, priorities: np.ndarray) -> np.ndarray:
    """For each kept record, best first: the priority it had to exceed.

    Without record i the others meet the budget at some record of theirs; i is
    kept if it ranks before that one. −∞ where the others do not meet it.

    Args:
      priorities: of all records of the corpus.
    """
    # The others' sum up to a place after record i is the sum less i's amount.
    beyond = self.wanted + self.amounts[self.kept()]
    ranked = np.append(priorities[self.order], -np.inf)
    return ranked[np.searchsorted(self._sums(), beyond)]

  def _sums(self) -> np.ndarray:
    return np.cumsum(self.amounts[self.order])


def flatten(values: interface.GivenByShard) -> np.ndarray:
  """All shards' values, one shard after the other."""
  if not values:
    return np.zeros(0)
  return np.concatenate(list(values.values()))


def split(flat: np.ndarray, like: interface.ByShard) -> interface.ByShard:
  """What `flatten` joined, by shard again."""
  edges = np.cumsum([len(values) for values in like.values()])
  return dict(zip(like, np.split(flat, edges[:-1]), strict=True))


def by_shard(
  kept: np.ndarray, like: interface.ByShard
) -> dict[str, np.ndarray]:
  """Numbers of records to each shard's positions, ascending, int64."""
  kept = np.sort(kept).astype(np.int64)
  lengths = [len(values) for values in like.values()]
  starts = np.cumsum([0, *lengths], dtype=np.int64)
  edges = np.searchsorted(kept, starts)
  return {
    shard: kept[edges[index] : edges[index + 1]] - starts[index]
    for index, shard in enumerate(like)
  }
