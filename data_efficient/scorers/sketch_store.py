# SPDX-License-Identifier: Apache-2.0
"""What a sketch is between two runs, and where a scorer may leave it.

A scorer opens no file: `data.sketches` hands it a `Store`.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32


class Absorbed(NamedTuple):
  """How far pass 1 has come: all that a sketch is, beside its settings.

  Attributes:
    width: of a cell, by the bandwidth's rule.
    dimensions: of the vectors.
    records: usable vectors of the pool.
    parts: numbers of the parts that are counted, ascending.
    counts: S, int32 [R, B].
    total: vectors that are counted.
  """

  width: float
  dimensions: int
  records: int
  parts: tuple[int, ...]
  counts: Int32[np.ndarray, "r w"]
  total: int


@runtime_checkable
class Store(Protocol):
  """Where pass 1 keeps its sketch, to go on after it was stopped."""

  def load(self) -> Absorbed | None:
    """What was kept, if anything."""

  def due(self) -> bool:
    """Whether it is time to keep it."""

  def keep(self, absorbed: Absorbed) -> None:
    """Replaces what was kept."""


@runtime_checkable
class KeepsSketch(Protocol):
  """A scorer whose first pass makes a sketch.

  Attributes:
    sketch_store: where it is kept; None to keep it in memory only.
  """

  sketch_store: Store | None
