# SPDX-License-Identifier: Apache-2.0
"""What a set of examples is worth: the functions of DELIFT and their relatives.

Of kernels s [target i, example j] over the pool D, a target set Q and what is
known, E, and of a set A of the pool (arXiv 2411.04425, Sec. 3; Iyer et al.
2021 for mutual information and conditional gain):

| name | f(A) | kernel | beside |
|---|---|---|---|
| facility_location | Σᵢ max_A sᵢⱼ | any targets × D | |
| fl1mi | Σ_D min(max_A sᵢⱼ, η max_Q sᵢ_q) | D × D | D × Q |
| fl2mi | Σ_Q max_A sᵢⱼ + η Σ_A max_Q sᵢⱼ | Q × D | |
| flmi | Σ_D max_A sᵢⱼ + η Σ_A max_Q sᵢⱼ | D × D | Q × D |
| flcg | Σ_D max(max_A sᵢⱼ − ν max_E sᵢₖ, 0) | D × D | D × E |
| graph_cut | Σ_D Σ_A sᵢⱼ − λ Σ_A Σ_A sⱼₖ | D × D | |
| log_determinant | log det(S_A + ρI) | D × D | |

flmi is what the paper prints, fl1mi what its code computes; fl1mi can have no
gain left long before the budget is used. In all facility locations a negative
similarity counts as 0. Both kernels of a function are to be transformed alike.
"""

import dataclasses
import math
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from data_efficient.selection import (
  covers,
  greedy,
  interface,
  pairwise,
  quadratic,
  sparse_covers,
)
from data_efficient.selection.pairwise import KNOWN, POOL, QUERIES, Kernel

Cover = covers.Cover | sparse_covers.SparseCover


@runtime_checkable
class Objective(Protocol):
  """What makes a function of kernels.

  Attributes:
    name: of the function.
    main: the records of the targets and of the examples of its kernel.
    beside: those of the second kernel that it needs; None: it needs none.
  """

  name: str
  main: tuple[str, str]
  beside: tuple[str, str] | None

  def function(
    self, kernel: Kernel, beside: Kernel | None = None
  ) -> greedy.SetFunction:
    """Returns f at the empty set.

    Raises:
      KernelError: kernels that it cannot be made of.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class FacilityLocation:
  """Targets are covered by what helps them most."""

  name: str = "facility_location"
  main = (POOL, POOL)
  beside = None

  def function(self, kernel: Kernel, beside: Kernel | None = None) -> Cover:
    """See `Objective`."""
    _none(self, beside)
    records = (kernel.records[0], POOL)
    return _cover(pairwise.checked(kernel, records=records, use=self.name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FL1MI:
  """Coverage of the pool, of each record up to what the target set asks for.

  Attributes:
    eta: η, above 0.
    name: of the function.
  """

  eta: float
  name: str = "fl1mi"
  main = (POOL, POOL)
  beside = (POOL, QUERIES)

  def __post_init__(self):
    """Refuses an η that is not above 0, with SelectionError."""
    _check_above(self.eta, "eta", zero=False)

  def function(self, kernel: Kernel, beside: Kernel | None = None) -> Cover:
    """See `Objective`."""
    asked = _both(self, kernel, beside, axis=1)
    return _cover(
      pairwise.checked(kernel, records=self.main, use=self.name),
      cap=(self.eta * asked).astype(np.float32),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FL2MI:
  """Coverage of the target set, and relevance to it.

  Attributes:
    eta: η, from 0.
    name: of the function.
  """

  eta: float
  name: str = "fl2mi"
  main = (QUERIES, POOL)
  beside = None

  def __post_init__(self):
    """Refuses an η below 0, with SelectionError."""
    _check_above(self.eta, "eta", zero=True)

  def function(self, kernel: Kernel, beside: Kernel | None = None) -> Cover:
    """See `Objective`."""
    _none(self, beside)
    values = pairwise.checked(kernel, records=self.main, use=self.name)
    return _cover(values, modular=self.eta * _most(values, axis=0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FLMI:
  """Coverage of the pool, and relevance to the target set: as DELIFT prints.

  Attributes:
    eta: η, from 0.
    name: of the function.
  """

  eta: float
  name: str = "flmi"
  main = (POOL, POOL)
  beside = (QUERIES, POOL)

  def __post_init__(self):
    """Refuses an η below 0, with SelectionError."""
    _check_above(self.eta, "eta", zero=True)

  def function(self, kernel: Kernel, beside: Kernel | None = None) -> Cover:
    """See `Objective`."""
    relevance = _both(self, kernel, beside, axis=0)
    return _cover(
      pairwise.checked(kernel, records=self.main, use=self.name),
      modular=self.eta * relevance,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FLCG:
  """Coverage of the pool beyond what is known.

  Attributes:
    nu: ν, from 0.
    name: of the function.
  """

  nu: float
  name: str = "flcg"
  main = (POOL, POOL)
  beside = (POOL, KNOWN)

  def __post_init__(self):
    """Refuses a ν below 0, with SelectionError."""
    _check_above(self.nu, "nu", zero=True)

  def function(self, kernel: Kernel, beside: Kernel | None = None) -> Cover:
    """See `Objective`."""
    known = _both(self, kernel, beside, axis=1)
    return _cover(
      pairwise.checked(kernel, records=self.main, use=self.name),
      floor=(self.nu * known).astype(np.float32),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphCut:
  """Likeness to the pool, less likeness among the chosen.

  Attributes:
    penalty: λ, from 0; monotone up to ½.
    name: of the function.
  """

  penalty: float
  name: str = "graph_cut"
  main = (POOL, POOL)
  beside = None

  def __post_init__(self):
    """Refuses a λ below 0, with SelectionError."""
    _check_above(self.penalty, "penalty", zero=True)

  def function(
    self, kernel: Kernel, beside: Kernel | None = None
  ) -> quadratic.GraphCut:
    """See `Objective`."""
    _none(self, beside)
    values = pairwise.positive_semidefinite(
      kernel, use=self.name, negatives=False
    )
    return quadratic.GraphCut(values, penalty=self.penalty)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogDeterminant:
  """The volume that the chosen span.

  Attributes:
    ridge: ρ, above 0; monotone from 1.
    name: of the function.
  """

  ridge: float
  name: str = "log_determinant"
  main = (POOL, POOL)
  beside = None

  def __post_init__(self):
    """Refuses a ρ that is not above 0, with SelectionError."""
    _check_above(self.ridge, "ridge", zero=False)

  def function(
    self, kernel: Kernel, beside: Kernel | None = None
  ) -> quadratic.LogDeterminant:
    """See `Objective`."""
    _none(self, beside)
    values = pairwise.positive_semidefinite(
      kernel, use=self.name, negatives=True
    )
    return quadratic.LogDeterminant(values, ridge=self.ridge)


def settings(objective: Objective) -> dict:
  """What differs between two objectives of one name."""
  found = dataclasses.asdict(objective)
  return {name: found[name] for name in found if name != "name"}


def _cover(values: pairwise.Values, **parts: np.ndarray) -> Cover:
  sparse = not isinstance(values, np.ndarray)
  return (sparse_covers.SparseCover if sparse else covers.Cover)(
    values, **parts
  )


def _none(objective: Objective, beside: Kernel | None) -> None:
  if beside is not None:
    raise pairwise.KernelError(
      f"{objective.name} reads one kernel; leave the second one out"
    )


def _both(
  objective: Objective, kernel: Kernel, beside: Kernel | None, *, axis: int
) -> Float[np.ndarray, " n"]:
  """The largest entries of the second kernel along an axis, from 0."""
  if beside is None:
    raise pairwise.KernelError(
      f"{objective.name} reads a second kernel, "
      f"{' × '.join(objective.beside)}, beside that of the pool"
    )
  values = pairwise.checked(
    beside, records=objective.beside, use=f"{objective.name}'s second"
  )
  here, there = values.shape[1 - axis], kernel.values.shape[1 - axis]
  if here != there:
    raise pairwise.KernelError(
      f"{objective.name}: the kernel is of {there} records of the pool, the "
      f"second one of {here}"
    )
  return _most(values, axis=axis)


def _most(values: pairwise.Values, *, axis: int) -> Float[np.ndarray, " n"]:
  found = values.max(axis=axis)
  if not isinstance(values, np.ndarray):
    found = found.toarray().ravel()
  return np.maximum(found, 0.0).astype(np.float64)


def _check_above(value: float, name: str, *, zero: bool) -> None:
  if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
    raise interface.SelectionError(
      f"{name} must be {'from' if zero else 'above'} 0, got {value}"
    )
