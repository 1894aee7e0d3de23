# SPDX-License-Identifier: Apache-2.0
"""Facility location of a kernel of which some pairs alone are stored.

As `covers`, in float64: few numbers are added at a time, so that exact sums
cost nothing.
"""

import numpy as np
import scipy.sparse
from jaxtyping import Float, Float64, Int

_BLOCK = 4096  # examples whose gains are counted at once

Row = Float[np.ndarray, " i"]


class SparseCover:
  """A set of examples, as far as what another adds depends on it.

  Args:
    kernel: s, CSR [i, j]; what it does not store is 0.
    floor: as of `covers.Cover`.
    cap: as of `covers.Cover`.
    modular: as of `covers.Cover`.

  Attributes:
    examples: how many there are to choose from.
    value: f of the set.
    monotone: True.
  """

  monotone = True

  def __init__(
    self,
    kernel: scipy.sparse.csr_array,
    *,
    floor: Row | None = None,
    cap: Row | None = None,
    modular: Float[np.ndarray, " j"] | None = None,
  ):
    rows, self.examples = kernel.shape
    self.floor = np.zeros(rows)
    if floor is not None:
      self.floor = np.maximum(floor, 0).astype(np.float64)
    self.modular = modular
    if cap is not None:
      each = np.repeat(cap.astype(np.float32), np.diff(kernel.indptr))
      kernel = scipy.sparse.csr_array(
        (np.minimum(kernel.data, each), kernel.indices, kernel.indptr),
        shape=kernel.shape,
      )
    self._by_row = kernel
    counts = np.diff(kernel.indptr)
    self._width = int(counts[0]) if (counts == counts[0]).all() else 0
    columns = scipy.sparse.csc_array(kernel)
    self._starts = columns.indptr.tolist()
    self._rows, self._values = columns.indices, columns.data
    self._empty()

  def _empty(self) -> None:
    self.value = 0.0
    self.cover = self.floor.copy()

  def fresh(self) -> "SparseCover":
    """The empty set, of the same arrays."""
    new = object.__new__(type(self))
    new.__dict__.update(self.__dict__)
    new._empty()
    return new

  def gain(self, example: int) -> float:
    """f(A ∪ {j}) − f(A); exactly 0 where it adds nothing."""
    start, end = self._starts[example], self._starts[example + 1]
    found = self._values[start:end] - self.cover[self._rows[start:end]]
    np.maximum(found, 0, out=found)
    total = float(np.add.reduce(found))
    return (
      total if self.modular is None else total + float(self.modular[example])
    )

  def gains(self) -> Float64[np.ndarray, " j"]:
    """Gains of all examples; of equal columns, equal ones."""
    total = np.zeros(self.examples)
    starts = np.array(self._starts)
    for first in range(0, self.examples, _BLOCK):
      ends = starts[first : first + _BLOCK + 1]
      entries = slice(ends[0], ends[-1])
      found = self._values[entries] - self.cover[self._rows[entries]]
      np.maximum(found, 0, out=found)
      some = np.flatnonzero(np.diff(ends))
      if some.size:
        sums = np.add.reduceat(found, ends[some] - ends[0])
        total[first + some] = sums
    return total if self.modular is None else total + self.modular

  def add(self, example: int) -> float:
    """Puts an example into the set; returns its gain."""
    gain = self.gain(example)
    self.value += gain
    start, end = self._starts[example], self._starts[example + 1]
    rows = self._rows[start:end]
    self.cover[rows] = np.maximum(self.cover[rows], self._values[start:end])
    return gain

  def whole(self) -> float:
    """f of all examples together."""
    most = self.floor.copy()
    np.maximum.at(most, self._rows, self._values)
    more = 0.0 if self.modular is None else float(self.modular.sum())
    return float((most - self.floor).sum()) + more

  def add_lowering(
    self, example: int, gains: Float64[np.ndarray, " j"]
  ) -> float:
    """As `add`, and takes from all gains what they lose by it.

    Args:
      example: that comes into the set.
      gains: of all examples before; changed in place.
    """
    start, end = self._starts[example], self._starts[example + 1]
    rows, high = self._rows[start:end], self._values[start:end]
    low = self.cover[rows]
    rose = np.flatnonzero(high > low)
    rows, low, high = rows[rose], low[rose], high[rose]
    columns, values, counts = self._entries(rows)
    lost = np.minimum(values, np.repeat(high, counts))
    lost = lost - np.repeat(low, counts)
    there = np.flatnonzero(lost > 0)
    np.subtract.at(gains, columns[there].astype(np.intp), lost[there])
    self.cover[rows] = high
    gain = float(np.add.reduce(high - low))
    if self.modular is not None:
      gain += float(self.modular[example])
    self.value += gain
    return gain

  def _entries(
    self, rows: Int[np.ndarray, " r"]
  ) -> tuple[
    Int[np.ndarray, " e"],
    Float[np.ndarray, " e"],
    Int[np.ndarray, " r"] | int,
  ]:
    """Columns and values of some rows, and how many each row has."""
    kernel = self._by_row
    if self._width:
      # As many in each, as of k nearest neighbours: whole rows are copied.
      found = (
        each.reshape(-1, self._width).take(rows, axis=0).ravel()
        for each in (kernel.indices, kernel.data)
      )
      return *found, self._width
    starts = kernel.indptr[rows]
    counts = kernel.indptr[rows + 1] - starts
    ends = np.cumsum(counts)
    places = np.repeat(starts - (ends - counts), counts)
    places = places + np.arange(len(places))
    return kernel.indices[places], kernel.data[places], counts
