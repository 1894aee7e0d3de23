# SPDX-License-Identifier: Apache-2.0
"""The best records first: Ask-LLM's and the classifier's selector."""

import dataclasses

import numpy as np

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

  @property
  def settings(self) -> dict:
    """What differs from the usual: whether the lowest are kept."""
    return {} if self.highest else {"highest": False}

  def priorities(
    self, shard: interface.Shard, *, seed: int
  ) -> interface.Priorities:
    """The score or its negative; the seed is not used.

    Raises:
      SelectionError: no scores, or not one a record.
    """
    del seed
    scores = interface.checked(shard)
    # float32 stays: it ranks alike, in half the memory.
    values = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    return values if self.highest else -values

  def log_weights(self, shard: interface.Shard) -> None:
    """None: nothing is sampled."""
    del shard
