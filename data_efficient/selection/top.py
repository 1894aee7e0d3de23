# SPDX-License-Identifier: Apache-2.0
"""The best records first: Ask-LLM's and the classifier's selector."""

import dataclasses

from data_efficient.selection import interface


@dataclasses.dataclass(frozen=True, kw_only=True)
class Top:
  """Keeps the records of highest (or lowest) score; no randomness.

  Attributes:
    highest: True keeps high scores, False low ones.
    name: the name of the selector in tables.
  """

  highest: bool
  name: str = "top"

  def priorities(
    self,
    scores: interface.GivenByShard | None,
    *,
    shards: dict[str, int],
    seed: int,
  ) -> interface.ByShard:
    """The score or its negative; the seed is not used.

    Raises:
      SelectionError: no scores, or not one a record.
    """
    del seed
    given = interface.checked(scores, shards=shards)
    return {
      shard: values if self.highest else -values
      for shard, values in given.items()
    }

  def log_weights(
    self, scores: interface.GivenByShard | None, *, shards: dict[str, int]
  ) -> None:
    """None: nothing is sampled."""
    del scores, shards
