# SPDX-License-Identifier: Apache-2.0
"""Facility location in all its forms, of a dense kernel.

  f(A) = Σᵢ wᵢ (max(bᵢ, max_{j∈A} min(sᵢⱼ, cᵢ)) − bᵢ) + Σ_{j∈A} aⱼ

of floors b, caps c, weights w and modular gains a, all from 0: which form is
which is said in `kernels.submodular`, the same function for accelerators. What
is not above the floor counts nothing, so a negative similarity counts as 0.

The arrays lie by example, so that the gain of one is a pass over a row of
memory. Sums are of float32 and add in an order of their own that depends on
nothing else: examples with equal columns have gains that are equal bit by bit.
"""

import concurrent.futures
import functools
import os

import jax
import numpy as np
from jaxtyping import Float, Float64, Int

from data_efficient.kernels import coverage

Row = Float[np.ndarray, " i"]
# Entries from which a pass is made by several threads.
_SHARED = 1 << 21
_TILE = 256  # rows and columns of a tile that a core's cache holds


class Cover:
  """A set of examples, as far as what another adds depends on it.

  Args:
    kernel: s, float32 [i, j].
    floor: b; None: 0.
    cap: c; None: none.
    weight: w; None: 1.
    modular: a; None: 0.

  Attributes:
    kernel: s.
    examples: how many there are to choose from.
    value: f of the set.
    monotone: True.
  """

  monotone = True

  def __init__(
    self,
    kernel: Float[np.ndarray, "i j"],
    *,
    floor: Row | None = None,
    cap: Row | None = None,
    weight: Row | None = None,
    modular: Float[np.ndarray, " j"] | None = None,
  ):
    rows, self.examples = kernel.shape
    self.kernel = kernel
    self.floor = np.zeros(rows, np.float32)
    if floor is not None:
      self.floor = np.maximum(floor, 0).astype(np.float32)
    self.cap = None if cap is None else cap.astype(np.float32)
    self.weight = None if weight is None else weight.astype(np.float32)
    self.modular = modular
    self._empty()

  def _empty(self) -> None:
    self.value = 0.0
    self.cover = self.floor.copy()
    self._buffer = np.empty_like(self.cover)

  def fresh(self) -> "Cover":
    """The empty set, of the same arrays."""
    new = object.__new__(type(self))
    # What was made of the kernel, its transpose too, is shared.
    self._columns  # noqa: B018
    new.__dict__.update(self.__dict__)
    new._empty()
    return new

  def gain(self, example: int) -> float:
    """f(A ∪ {j}) − f(A); exactly 0 where it adds nothing."""
    found = self._buffer
    np.subtract(self._columns[example], self.cover, out=found)
    np.maximum(found, 0, out=found)
    if self.weight is not None:
      np.multiply(found, self.weight, out=found)
    total = float(np.add.reduce(found))
    return (
      total if self.modular is None else total + float(self.modular[example])
    )

  def gains(self) -> Float[np.ndarray, " j"]:
    """Gains of all examples, to some ten-millionths of themselves."""
    rows = np.arange(len(self.cover))
    high = np.full_like(self.cover, np.inf) if self.cap is None else self.cap
    found = self._above(rows, self.cover, high)
    return found if self.modular is None else found + self.modular

  def add(self, example: int) -> float:
    """Puts an example into the set; returns its gain."""
    gain = self.gain(example)
    self.value += gain
    np.maximum(self.cover, self._columns[example], out=self.cover)
    return gain

  def whole(self) -> float:
    """f of all examples together."""
    most = np.maximum(self._columns.max(axis=0), self.floor)
    raised = (most - self.floor).astype(np.float64)
    if self.weight is not None:
      raised *= self.weight
    more = 0.0 if self.modular is None else float(self.modular.sum())
    return float(raised.sum()) + more

  def covered(
    self, rows: Int[np.ndarray, " r"], low: Row
  ) -> Float[np.ndarray, " j"]:
    """What the gains of all examples lost as covers of rows rose from `low`.

    Args:
      rows: those that rose.
      low: the covers of all rows before.
    """
    return self._above(rows, low, self.cover)

  def _above(
    self, rows: Int[np.ndarray, " r"], low: Row, high: Row
  ) -> Float64[np.ndarray, " j"]:
    """Σ over rows of w times what of s lies between two covers."""
    threads = len(os.sched_getaffinity(0))
    if len(rows) * self.examples < _SHARED:
      threads = 1
    shares = np.array_split(rows, threads)
    found = _threads().map(
      functools.partial(self._between, low=low, high=high), shares
    )
    return sum(found)

  def _between(
    self, rows: Int[np.ndarray, " r"], low: Row, high: Row
  ) -> Float64[np.ndarray, " j"]:
    chosen = np.zeros(len(low), np.int32)
    chosen[: len(rows)] = rows
    found = coverage.between(
      self._on_device,
      chosen,
      np.int32(len(rows)),
      low=low,
      high=high,
      weight=self._weights,
    )
    return np.asarray(found, np.float64)

  @functools.cached_property
  def _on_device(self) -> jax.Array:
    # Without a copy, where `pairwise.aligned` made the array.
    return jax.device_put(np.ascontiguousarray(self.kernel), may_alias=True)

  @functools.cached_property
  def _weights(self) -> Row:
    return np.ones_like(self.floor) if self.weight is None else self.weight

  @functools.cached_property
  def _columns(self) -> Float[np.ndarray, "j i"]:
    """min(s, c) by example, contiguous."""
    if self.cap is None and self.kernel.flags.f_contiguous:
      return self.kernel.T
    found = np.empty(self.kernel.shape[::-1], np.float32)
    starts = range(0, len(self.kernel), _TILE)
    list(_threads().map(functools.partial(self._transpose, found), starts))
    return found

  def _transpose(self, found: np.ndarray, start: int) -> None:
    rows = slice(start, start + _TILE)
    for first in range(0, self.examples, _TILE):
      tile = self.kernel[rows, first : first + _TILE]
      if self.cap is not None:
        tile = np.minimum(tile, self.cap[rows, None])
      found[first : first + _TILE, rows] = tile.T


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
  return concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
