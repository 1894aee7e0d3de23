# SPDX-License-Identifier: Apache-2.0
"""What a sketch is between two runs, and where a scorer may leave it.

A scorer opens no file: `data.sketch_stores` hands it a `Store`, which also
knows who counts: this process, several, or the workers of a pipeline.
"""

from collections.abc import Callable, Sequence
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
class Place(Protocol):
  """Where a sketch is kept while it grows."""

  def due(self) -> bool:
    """Whether it is time to keep it."""

  def keep(self, absorbed: Absorbed) -> None:
    """Replaces what was kept."""


@runtime_checkable
class Count(Protocol):
  """Counts parts of the pool; goes to other machines."""

  def __call__(
    self, begun: Absorbed, only: Sequence[int] | None, place: Place | None
  ) -> Absorbed:
    """What was counted before, and some parts of the pool, or all others.

    Args:
      begun: what was counted before.
      only: numbers of the parts, ascending; None for all that `begun` lacks.
      place: kept there when it is due, and at the end.
    """


@runtime_checkable
class Store(Protocol):
  """Where pass 1 keeps its sketch, and who counts it."""

  def load(self) -> Absorbed | None:
    """What was kept, if anything."""

  def begin(self, begin: Callable[[], Absorbed]) -> Absorbed:
    """What was kept; if nothing was, what `begin` returns."""

  def complete(self, begun: Absorbed, count: Count) -> Absorbed:
    """The sketch of all parts."""


@runtime_checkable
class KeepsSketch(Protocol):
  """A scorer whose first pass makes a sketch.

  Attributes:
    sketch_store: where it is kept; None to keep it in memory only.
  """

  sketch_store: Store | None
