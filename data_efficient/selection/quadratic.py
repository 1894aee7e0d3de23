# SPDX-License-Identifier: Apache-2.0
"""Graph cut and log-determinant: what pairs of the chosen have in common.

Both take symmetric positive semidefinite kernels alone, and both know the gain
of every example exactly after each pick.
"""

import numpy as np
from jaxtyping import Float

Gains = Float[np.ndarray, " j"]


class GraphCut:
  """f(A) = Σᵢ Σ_{j∈A} sᵢⱼ − λ Σ_{j,k∈A} sⱼₖ, s from 0.

  Args:
    kernel: s, symmetric.
    penalty: λ, from 0; up to ½ f is monotone.

  Attributes:
    examples: how many there are to choose from.
    value: f of the set.
    monotone: whether more is never worse.
  """

  def __init__(self, kernel: Float[np.ndarray, "j j"], *, penalty: float):
    self.examples = len(kernel)
    self.monotone = penalty <= 0.5
    self._kernel, self._penalty = kernel, penalty
    alone = penalty * kernel.diagonal().astype(np.float64)
    self._alone = kernel.sum(axis=0, dtype=np.float64) - alone
    self._empty()

  def _empty(self) -> None:
    self.value = 0.0
    self._gains = self._alone.copy()

  def fresh(self) -> "GraphCut":
    """The empty set, of the same arrays."""
    new = object.__new__(type(self))
    new.__dict__.update(self.__dict__)
    new._empty()
    return new

  def gain(self, example: int) -> float:
    """f(A ∪ {j}) − f(A)."""
    return float(self._gains[example])

  def gains(self) -> Gains:
    """Gains of all examples; of no meaning for those of the set."""
    return self._gains.copy()

  def add(self, example: int) -> float:
    """Puts an example into the set; returns its gain."""
    gain = self.gain(example)
    self.value += gain
    self._gains -= 2 * self._penalty * self._kernel[example].astype(np.float64)
    return gain

  def whole(self) -> float:
    """f of all examples together."""
    return (1 - self._penalty) * float(self._kernel.sum(dtype=np.float64))


class LogDeterminant:
  """f(A) = log det(S_A + ρI), 0 of the empty set.

  Gains are logarithms of what is left of an example's own ρ + sⱼⱼ beside what
  the chosen explain of it, from a Cholesky factor that grows a row a pick (Chen
  et al. 2018, "Fast greedy MAP inference for determinantal point process").

  Args:
    kernel: S, symmetric positive semidefinite.
    ridge: ρ, above 0; from 1 on f is monotone.

  Attributes:
    examples: how many there are to choose from.
    value: f of the set.
    monotone: whether more is never worse.
  """

  def __init__(self, kernel: Float[np.ndarray, "j j"], *, ridge: float):
    self.examples = len(kernel)
    self.monotone = ridge >= 1
    self._kernel, self._ridge = kernel, ridge
    self._empty()

  def _empty(self) -> None:
    self.value = 0.0
    self._left = self._kernel.diagonal().astype(np.float64) + self._ridge
    self._factor = np.empty((0, self.examples))
    self._rows = 0

  def fresh(self) -> "LogDeterminant":
    """The empty set, of the same arrays."""
    new = object.__new__(type(self))
    new.__dict__.update(self.__dict__)
    new._empty()
    return new

  def gain(self, example: int) -> float:
    """f(A ∪ {j}) − f(A)."""
    return float(np.log(self._left[example]))

  def gains(self) -> Gains:
    """Gains of all examples; of no meaning for those of the set."""
    return np.log(self._left)

  def add(self, example: int) -> float:
    """Puts an example into the set; returns its gain."""
    gain = self.gain(example)
    self.value += gain
    if self._rows == len(self._factor):
      more = np.empty((max(16, self._rows), self.examples))
      self._factor = np.concatenate([self._factor, more])
    done = self._factor[: self._rows]
    row = self._kernel[example].astype(np.float64)
    row -= done[:, example] @ done
    # Of the example itself the diagonal is meant.
    row[example] += self._ridge
    row /= np.sqrt(self._left[example])
    self._factor[self._rows] = row
    self._rows += 1
    # What no number is left of is left the smallest: never below ρ.
    np.maximum(self._left - row**2, self._ridge, out=self._left)
    return gain

  def whole(self) -> float:
    """f of all examples together: no determinant, but Hadamard's bound."""
    left = self._kernel.diagonal().astype(np.float64) + self._ridge
    return float(np.log(left).sum())
