# SPDX-License-Identifier: Apache-2.0
"""Uniform sampling without replacement: the baseline of every claim."""

import dataclasses

import numpy as np

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
    self,
    scores: interface.GivenByShard | None,
    *,
    shards: dict[str, int],
    seed: int,
  ) -> interface.ByShard:
    """One Gumbel key a record; of the scores, only NaN matters."""
    weights = self.log_weights(scores, shards=shards)
    return add_keys(weights, seed=seed)

  def log_weights(
    self, scores: interface.GivenByShard | None, *, shards: dict[str, int]
  ) -> interface.ByShard:
    """Zero: all weights are 1."""
    return interface.constant(0.0, scores, shards=shards)


def add_keys(log_weights: interface.ByShard, *, seed: int) -> interface.ByShard:
  """Returns log wᵢ + gumbelᵢ: its k largest are a weighted sample of k.

  The key of a record depends on (seed, name of its shard, position).

  Raises:
    SelectionError: a seed that is negative or needs more than 64 bits.
  """
  if not 0 <= seed <= sampling.LARGEST_WORD:
    raise interface.SelectionError(
      f"the seed must be from 0 to 2⁶⁴ − 1, got {seed}"
    )
  return {
    shard: weights + _keys(shard, weights, seed=seed)
    for shard, weights in log_weights.items()
  }


def _keys(shard: str, weights: np.ndarray, *, seed: int) -> np.ndarray:
  return sampling.gumbels(
    seed=seed, stream=interface.stream(shard), count=len(weights)
  )
