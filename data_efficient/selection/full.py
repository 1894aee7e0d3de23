# SPDX-License-Identifier: Apache-2.0
"""All the data: what a selection is compared with."""

import dataclasses

from data_efficient.selection import interface


@dataclasses.dataclass(frozen=True, kw_only=True)
class Full:
  """Keeps everything; give it a budget of fraction 1.

  All priorities are equal, so a smaller budget keeps the head of the corpus,
  which is a sample of nothing: use Random for that.

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "full"

  def priorities(
    self, shard: interface.Shard, *, seed: int
  ) -> interface.Priorities:
    """Zero for every record, also for one without a score."""
    del seed
    return interface.constant(0.0, shard._replace(scores=None))

  def log_weights(self, shard: interface.Shard) -> None:
    """None: nothing is sampled."""
    del shard
