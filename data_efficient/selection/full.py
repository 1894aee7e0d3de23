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
    self,
    scores: interface.GivenByShard | None,
    *,
    shards: dict[str, int],
    seed: int,
  ) -> interface.ByShard:
    """Zero for every record, also for one without a score."""
    del scores, seed
    return interface.constant(0.0, None, shards=shards)

  def log_weights(
    self, scores: interface.GivenByShard | None, *, shards: dict[str, int]
  ) -> None:
    """None: nothing is sampled."""
    del scores, shards
