# SPDX-License-Identifier: Apache-2.0
"""Uniform sampling without replacement: the baseline of every claim."""

import dataclasses

from data_efficient.selection import drawing, interface


@dataclasses.dataclass(frozen=True, kw_only=True)
class Random(drawing.Drawing):
  """Keeps a uniform sample.

  The keys are those of `InversePropensity` with the same seed, so that two
  such selections differ by their weights and not by their luck.

  Attributes:
    name: the name of the selector in tables.
  """

  name: str = "random"

  def log_weights(self, shard: interface.Shard) -> interface.Priorities:
    """Zero: all weights are 1; of the scores, only NaN matters."""
    return interface.constant(0.0, shard)
