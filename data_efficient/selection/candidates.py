# SPDX-License-Identifier: Apache-2.0
"""What a ranking ranks: the records of shards, with a priority each."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, Int64


class Reached(NamedTuple):
  """Some records of a shard.

  Attributes:
    rows: their numbers in the shard, ascending.
    priorities: float [m].
    amounts: what each counts in the budget; None: 1 each.
  """

  rows: Int[np.ndarray, " m"]
  priorities: Float[np.ndarray, " m"]
  amounts: Int64[np.ndarray, " m"] | None


@runtime_checkable
class Records(Protocol):
  """The records of one shard, in order.

  Attributes:
    records: how many of them the corpus's records are counted with.
    amounts: what each record counts in the budget, int64 [n], from 0; None: 1
      each.
  """

  records: int
  amounts: Int64[np.ndarray, " n"] | None

  def scorable(self) -> Bool[np.ndarray, " n"]:
    """Which have a priority; the others are never kept."""

  def thinned(self, picked: slice) -> Float[np.ndarray, " m"]:
    """Priorities of some, or others that are distributed like theirs."""

  def reaching(self, low: float) -> Reached:
    """All that have at least this priority."""


class Candidates(NamedTuple):
  """Records whose priorities are there already; see `Records`."""

  priorities: Float[np.ndarray, " n"]
  amounts: Int64[np.ndarray, " n"] | None
  records: int

  def scorable(self) -> Bool[np.ndarray, " n"]:
    """Which are not NaN."""
    return ~np.isnan(self.priorities)

  def thinned(self, picked: slice) -> Float[np.ndarray, " m"]:
    """Those that are picked."""
    return self.priorities[picked]

  def reaching(self, low: float) -> Reached:
    """Those that reach `low`."""
    rows = np.flatnonzero(self.priorities >= low)
    amounts = None if self.amounts is None else self.amounts[rows]
    return Reached(rows, self.priorities[rows], amounts)


class Totals(NamedTuple):
  """Sums over a corpus.

  Attributes:
    records: those that count.
    scorable: records with a priority.
    amount: of all records that count.
    available: amount of the records with a priority.
    largest: amount of one record.
  """

  records: int = 0
  scorable: int = 0
  amount: int = 0
  available: int = 0
  largest: int = 0

  def joined(self, other: "Totals") -> "Totals":
    """The sums over both."""
    sums = (mine + its for mine, its in zip(self[:-1], other[:-1], strict=True))
    return Totals(*sums, largest=max(self.largest, other.largest))
