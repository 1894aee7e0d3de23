# SPDX-License-Identifier: Apache-2.0
"""What a selector is: scores in, one priority a record out.

Bigger priorities are kept first, and the budget alone decides where to stop.
So every selector serves every budget, and a smaller budget's selection is a
part of a larger one's.
"""

from typing import Protocol, runtime_checkable

import numpy as np
import xxhash
from jaxtyping import Float64, Shaped

# Name of a shard to one value a record, in the order of the corpus. The axis
# has no letter, since every shard has a length of its own.
ByShard = dict[str, Float64[np.ndarray, "_"]]
GivenByShard = dict[str, Shaped[np.ndarray, "_"]]


class SelectionError(ValueError):
  """A selection that cannot be made, and what to change."""


@runtime_checkable
class Selector(Protocol):
  """Scores to priorities, in float64 on the host."""

  name: str

  def priorities(
    self, scores: GivenByShard | None, *, shards: dict[str, int], seed: int
  ) -> ByShard:
    """One priority a record; NaN for a record that must not be kept."""

  def log_weights(
    self, scores: GivenByShard | None, *, shards: dict[str, int]
  ) -> ByShard | None:
    """Log sampling weight of each record; None where nothing is sampled."""


def stream(shard: str) -> int:
  """The number that sets a shard's random keys apart from another's."""
  return xxhash.xxh3_64_intdigest(shard.encode("utf-8"))


def constant(
  value: float, scores: GivenByShard | None, *, shards: dict[str, int]
) -> ByShard:
  """One value for all records, NaN where there are scores and one is NaN."""
  if scores is None:
    return {shard: np.full(count, value) for shard, count in shards.items()}
  return {
    shard: np.where(np.isnan(values), np.nan, value)
    for shard, values in checked(scores, shards=shards).items()
  }


def checked(scores: GivenByShard | None, *, shards: dict[str, int]) -> ByShard:
  """Returns the scores in float64, in the corpus's order of shards.

  Raises:
    SelectionError: no scores, or not one a record of each shard.
  """
  if scores is None:
    raise SelectionError(
      "this selector needs scores; run the verb `score` first and name its "
      "directory"
    )
  check_lengths(scores, shards=shards, what="scores")
  return {shard: np.asarray(scores[shard], np.float64) for shard in shards}


def check_lengths(
  values: GivenByShard, *, shards: dict[str, int], what: str
) -> None:
  """Raises SelectionError unless there is one value a record of each shard."""
  for shard, count in shards.items():
    if shard not in values:
      raise SelectionError(
        f"no {what} of shard {shard!r}, which has {count} records; they were "
        "made from another corpus, make them again from this one"
      )
    if len(values[shard]) != count:
      raise SelectionError(
        f"{len(values[shard])} {what} for the {count} records of shard "
        f"{shard!r}; they were made from another corpus, make them again from "
        "this one"
      )
  unknown = [shard for shard in values if shard not in shards]
  if unknown:
    raise SelectionError(
      f"{what} of shard {unknown[0]!r}, which the corpus does not have; they "
      "were made from another corpus, make them again from this one"
    )
