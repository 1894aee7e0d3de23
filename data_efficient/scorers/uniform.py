# SPDX-License-Identifier: Apache-2.0
"""One score for all: what a sampler does when it knows nothing."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_efficient.scorers import interface


@dataclasses.dataclass(kw_only=True)
class Uniform:
  """Scores every text 1.

  Attributes:
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  part_records: int = 65536
  name: str = "uniform"

  reads = interface.Reads.TEXT

  def identity(self) -> dict:
    """Its name: there is nothing else."""
    return {"name": self.name}

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Column "score", float32 [n], of ones; nothing is unscorable."""
    ones = np.ones(len(batch), np.float32)
    return interface.Scores([interface.SCORED] * len(batch), {"score": ones})
