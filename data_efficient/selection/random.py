# SPDX-License-Identifier: Apache-2.0
"""Uniform sampling without replacement: the baseline of every claim."""

import dataclasses

from data_efficient.kernels import sampling
from data_efficient.selection import interface


@dataclasses.dataclass(frozen=True, kw_only=True)
class Random:
  """Keeps a uniform sample.

  The keys are those of `InversePropensity` with the same seed, so that two
  such selections differ by their weights and not by their luck.

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "random"

  def priorities(
    self, shard: interface.Shard, *, seed: int
  ) -> interface.Priorities:
    """One Gumbel key a record; of the scores, only NaN matters."""
    return add_keys(self.log_weights(shard), shard.name, seed=seed)

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """Zero: all weights are 1."""
    return interface.constant(0.0, shard)


def add_keys(
  log_weights: interface.Priorities, shard: str, *, seed: int
) -> interface.Priorities:
  """Returns log wᵢ + gumbelᵢ: its k largest are a weighted sample of k.

  The key of a record depends on (seed, name of its shard, position).

  Raises:
    SelectionError: a seed that is negative or needs more than 64 bits.
  """
  if not 0 <= seed <= sampling.LARGEST_WORD:
    raise interface.SelectionError(
      f"the seed must be from 0 to 2⁶⁴ − 1, got {seed}"
    )
  return log_weights + sampling.gumbels(
    seed=seed, stream=interface.stream(shard), count=len(log_weights)
  )
