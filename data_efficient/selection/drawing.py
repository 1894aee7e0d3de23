# SPDX-License-Identifier: Apache-2.0
"""Weighted sampling without replacement, as a ranking by random keys.

The k largest of log wᵢ + gumbelᵢ are k draws without replacement, each with
probability ∝ wᵢ among the records that are left. The key of a record depends
on (seed, name of its shard, position) alone: any number of processes, in any
order, draw the same sample, and a smaller one is a part of a larger one.
"""

import abc
import math

import numpy as np

from data_efficient.kernels import sampling
from data_efficient.selection import interface


class Drawing(abc.ABC):
  """A selector that draws: a subclass says with which weights."""

  @abc.abstractmethod
  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """log wᵢ of each record, float64; NaN for one that must not be kept."""

  def weights(
    self, shard: interface.Shard, *, unit: float
  ) -> interface.Priorities:
    """wᵢ exp(−unit), to a relative 10⁻⁴; NaN as in `log_weights`.

    May be ∞ beyond the largest float, and 0 below the smallest.
    """
    with np.errstate(over="ignore"):
      return np.exp(self.log_weights(shard) - unit)

  def weight_summary(self, shard: interface.Shard) -> sampling.WeightSummary:
    """How uneven the weights are."""
    return sampling.summarise_log_weights(self.log_weights(shard))

  def priorities(
    self, shard: interface.Shard, *, seed: int
  ) -> interface.Priorities:
    """log wᵢ + gumbelᵢ of each record.

    Raises:
      SelectionError: a seed that is negative or needs more than 64 bits, or
        scores that this selector cannot read.
    """
    return self.log_weights(shard) + sampling.gumbels(
      seed=_checked(seed),
      stream=interface.stream(shard.name),
      count=shard.records,
      start=shard.start,
    )

  def reaching(
    self, shard: interface.Shard, *, seed: int, low: float
  ) -> tuple[interface.Rows, interface.Priorities]:
    """As the function `reaching`; logarithms are taken where it matters."""
    rows, keys = sampling.reaching(
      self.weights(shard, unit=low),
      seed=_checked(seed),
      stream=interface.stream(shard.name),
      start=shard.start,
    )
    return rows, self.log_weights(shard.taken(rows)) + keys


def reaching(
  selector: interface.Selector, shard: interface.Shard, *, seed: int, low: float
) -> tuple[interface.Rows, interface.Priorities]:
  """Returns the records of priority `low` or more, ascending, and theirs.

  They are those that `selector.priorities` gives, bit for bit.
  """
  # A weight of 0 in units of 0 is no number.
  if isinstance(selector, Drawing) and math.isfinite(low):
    rows, values = selector.reaching(shard, seed=seed, low=low)
    enough = values >= low
    return rows[enough], values[enough]
  values = selector.priorities(shard, seed=seed)
  rows = np.flatnonzero(values >= low)
  return rows, values[rows]


def scorable(
  selector: interface.Selector, shard: interface.Shard, *, seed: int
) -> np.ndarray:
  """Returns which records can be kept at all, bool [n]."""
  if isinstance(selector, Drawing):
    return ~np.isnan(selector.weights(shard, unit=0.0))
  return ~np.isnan(selector.priorities(shard, seed=seed))


def _checked(seed: int) -> int:
  if not 0 <= seed <= sampling.LARGEST_WORD:
    raise interface.SelectionError(
      f"the seed must be from 0 to 2⁶⁴ − 1, got {seed}"
    )
  return seed
