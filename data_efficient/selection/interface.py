# SPDX-License-Identifier: Apache-2.0
"""What a selector is: scores in, one priority a record out.

Bigger priorities are kept first, and the budget alone decides where to stop.
So every selector serves every budget, and a smaller budget's selection is a
part of a larger one's.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import xxhash
from jaxtyping import Float, Int, Shaped

Scores = Shaped[np.ndarray, " n"] | None
Priorities = Float[np.ndarray, " n"]
Rows = Int[np.ndarray, " m"]

# Records that are worked on at once: their arrays stay in a core's cache.
_PIECE = 1 << 15


class SelectionError(ValueError):
  """A selection that cannot be made, and what to change."""


class Shard(NamedTuple):
  """Records of one shard that a selector ranks, in order.

  Attributes:
    name: of the shard.
    records: how many these are.
    scores: one number a record, NaN where there is none; None for a selector
      that reads none.
    others: the same of a second score set, for a selector that reads two.
    start: position of the first of them.
  """

  name: str
  records: int
  scores: Scores = None
  others: Scores = None
  start: int = 0

  def pieces(self) -> Iterator["Shard"]:
    """These records in runs of a size that a processor likes."""
    for first in range(0, self.records, _PIECE):
      yield self.taken(slice(first, first + _PIECE))._replace(
        start=self.start + first
      )

  def taken(self, rows: slice | Rows) -> "Shard":
    """Some of the records, as if they were all; their positions are lost."""
    columns = [
      values if values is None else values[rows]
      for values in (self.scores, self.others)
    ]
    if isinstance(rows, slice):
      count = len(range(*rows.indices(self.records)))
    else:
      count = len(rows)
    return Shard(self.name, count, *columns)


@runtime_checkable
class Selector(Protocol):
  """Scores to priorities, on the host; some records of a shard at a time.

  What a record gets depends on itself alone, not on other records.
  """

  name: str

  def priorities(self, shard: Shard, *, seed: int) -> Priorities:
    """One priority a record; NaN for a record that must not be kept."""

  def log_weights(self, shard: Shard) -> Priorities | None:
    """Log sampling weight of each record; None where nothing is sampled."""


def stream(shard: str) -> int:
  """The number that sets a shard's random keys apart from another's."""
  return xxhash.xxh3_64_intdigest(shard.encode("utf-8"))


def constant(value: float, shard: Shard) -> Priorities:
  """One value for all records, NaN where there are scores and one is NaN."""
  if shard.scores is None:
    return np.full(shard.records, value)
  return np.where(np.isnan(checked(shard)), np.nan, value)


def checked(shard: Shard) -> Shaped[np.ndarray, " n"]:
  """Returns the scores.

  Raises:
    SelectionError: no scores, or not one a record.
  """
  if shard.scores is None:
    raise SelectionError(
      "this selector needs scores; run the verb `score` first and name its "
      "directory"
    )
  check_length(shard.scores, shard=shard, what="scores")
  return shard.scores


def check_length(values: np.ndarray, *, shard: Shard, what: str) -> None:
  """Raises SelectionError unless there is one value a record."""
  if len(values) != shard.records:
    raise SelectionError(
      f"{len(values)} {what} for the {shard.records} records of shard "
      f"{shard.name!r}; they were made from another corpus, make them again "
      "from this one"
    )
