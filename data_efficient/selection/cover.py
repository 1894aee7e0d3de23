# SPDX-License-Identifier: Apache-2.0
"""Submodular selection: kernels to the examples that are kept, and a report.

A selector of `interface` gives each record a priority of its own; here what a
record adds depends on what is kept already, so the whole set is chosen at once.
"""

import dataclasses
import enum
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from data_efficient.selection import (
  batched,
  certificates,
  greedy,
  limits,
  objectives,
)
from data_efficient.selection.interface import SelectionError
from data_efficient.selection.pairwise import Kernel

_CURVE = 50  # points of the gains curve


class Maximiser(enum.StrEnum):
  """How the set is found; all but the stochastic one find the same."""

  NAIVE = "naive"
  LAZY = "lazy"
  STOCHASTIC = "stochastic"
  BATCHED = "batched"


class Tail(enum.StrEnum):
  """In which order the budget is filled where nothing adds anything.

  ALONE: by what an example is worth on its own, the first of equal ones;
  POSITION: the first ones.
  """

  ALONE = "alone"
  POSITION = "position"


class Chosen(NamedTuple):
  """What is kept, and how good it is.

  Attributes:
    examples: in the order in which they were taken: a part of a number of them
      is what a smaller budget keeps (not under groups or costs).
    gains: what each added.
    facts: figures, JSON-able: "objective" (its name), "value", "upper_bound"
      and "certificate" (value over bound; null where f is not monotone),
      "without_gain" (picks that added nothing), "tail", "evaluations",
      "curve" (picks and value after them), with groups "without_groups"
      ("value" at the same number, "cost": the share of it that was lost), with
      costs "spent", "rule" ("gain" or "gain_per_cost") and "guarantee".
  """

  examples: Int64[np.ndarray, " k"]
  gains: Float64[np.ndarray, " k"]
  facts: dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cover:
  """Keeps the set of examples that is worth most, greedily.

  Attributes:
    objective: what a set is worth.
    maximiser: a value of `Maximiser`; "batched" is for dense covers, and "lazy"
      for others where it is asked for.
    tail: a value of `Tail`.
    epsilon: of the stochastic maximiser; None for others.
    name: the name of the selector in tables.
  """

  objective: objectives.Objective
  maximiser: str
  tail: str
  epsilon: float | None = None
  name: str = "cover"

  def __post_init__(self):
    """Refuses unknown words, with SelectionError."""
    for value, kind in ((self.maximiser, Maximiser), (self.tail, Tail)):
      if value not in set(kind):
        raise SelectionError(
          f"{kind.__name__.lower()} = {value!r}: expected one of "
          f"{', '.join(kind)}"
        )
    if (self.epsilon is None) == (self.maximiser == Maximiser.STOCHASTIC):
      raise SelectionError(
        "epsilon is of the stochastic maximiser, and it needs one; got "
        f"{self.epsilon} for {self.maximiser!r}"
      )

  @property
  def settings(self) -> dict:
    """What differs between selectors of this kind, JSON-able."""
    found = {
      "objective": self.objective.name,
      **objectives.settings(self.objective),
      "tail": str(self.tail),
    }
    # The others find the same set.
    if self.maximiser == Maximiser.STOCHASTIC:
      found |= {"maximiser": str(self.maximiser), "epsilon": self.epsilon}
    return found

  def choose(
    self,
    kernel: Kernel,
    beside: Kernel | None = None,
    *,
    count: int,
    seed: int,
    groups: limits.Groups | None = None,
  ) -> Chosen:
    """Keeps a number of examples.

    Args:
      kernel: of the pool, or of the target set and the pool.
      beside: the second kernel, where the objective reads two.
      count: how many, from 0 to all.
      seed: of the stochastic maximiser.
      groups: bounds on what each group has of them.

    Raises:
      KernelError: kernels that the objective cannot be made of.
      SelectionError: a number that is not there.
    """
    function = self.objective.function(kernel, beside)
    if not 0 <= count <= function.examples:
      raise SelectionError(
        f"{count} of {function.examples} examples are to be kept: expected "
        f"from 0 to {function.examples}"
      )
    rule = groups.fresh() if groups else None
    picks = self._picks(function, count, seed, rule)
    facts = self._facts(function, picks, count, groups)
    if groups:
      free = function.fresh()
      self._picks(free, count, seed, None)
      facts["without_groups"] = {
        "value": free.value,
        "cost": 1 - function.value / free.value if free.value else 0.0,
      }
    return self._filled(function, picks, count, rule, facts)

  def buy(
    self,
    kernel: Kernel,
    beside: Kernel | None = None,
    *,
    purse: limits.Purse,
  ) -> Chosen:
    """Keeps examples whose costs add up to a budget, such as of tokens.

    The better of two lazily found sets: by gain, and by gain for the cost. It
    is worth at least (1 − 1/e)/2 of the best one (Leskovec et al. 2007, Theorem
    3; Khuller, Moss & Naor 1999 for coverage).

    Args:
      kernel: as of `choose`.
      beside: as of `choose`.
      purse: costs and budget.

    Raises:
      KernelError: kernels that the objective cannot be made of.
      SelectionError: not a cost for each example; the stochastic maximiser.
    """
    if self.maximiser == Maximiser.STOCHASTIC:
      raise SelectionError(
        "a budget of tokens is spent by the lazy maximiser, not by "
        f"{self.maximiser!r}; use maximiser = 'lazy' or a budget of examples"
      )
    first = self.objective.function(kernel, beside)
    if len(purse.costs) != first.examples:
      raise SelectionError(
        f"{len(purse.costs)} costs for {first.examples} examples"
      )
    found = {}
    for name, costs in (("gain", None), ("gain_per_cost", purse.costs)):
      function, rule = first.fresh(), purse.fresh()
      picks = greedy.lazy(function, first.examples, rule=rule, costs=costs)
      found[name] = function, rule, picks
    name = max(found, key=lambda name: found[name][0].value)
    function, rule, picks = found[name]
    facts = self._facts(function, picks, first.examples, purse)
    chosen = self._filled(function, picks, first.examples, rule, facts)
    chosen.facts.update(
      spent=int(purse.costs[chosen.examples].sum()),
      rule=name,
      guarantee=(1 - np.exp(-1)) / 2 if function.monotone else None,
    )
    return chosen

  def _picks(
    self,
    function: greedy.SetFunction,
    count: int,
    seed: int,
    rule: limits.Groups | None,
  ) -> greedy.Picks:
    if self.maximiser == Maximiser.STOCHASTIC:
      return greedy.stochastic(
        function, count, epsilon=self.epsilon, seed=seed, rule=rule
      )
    by_name: dict[str, Callable] = {
      Maximiser.NAIVE: greedy.naive,
      Maximiser.LAZY: greedy.lazy,
      Maximiser.BATCHED: batched.batched,
    }
    found = by_name[self.maximiser]
    known = isinstance(function, batched.Covers)
    if found is batched.batched and not known:
      found = greedy.lazy
    return found(function, count, rule=rule)

  def _facts(
    self,
    function: greedy.SetFunction,
    picks: greedy.Picks,
    count: int,
    rule: limits.Groups | limits.Purse | None,
  ) -> dict:
    bound = certificates.upper_bound(function, picks.examples, count, rule=rule)
    certificate = None
    if bound is not None:
      certificate = min(function.value / bound, 1.0) if bound > 0 else 1.0
    return {
      "objective": self.objective.name,
      "value": function.value,
      "upper_bound": bound,
      "certificate": certificate,
      "tail": str(self.tail),
      "evaluations": picks.evaluations,
    }

  def _filled(
    self,
    function: greedy.SetFunction,
    picks: greedy.Picks,
    count: int,
    rule: limits.Groups | limits.Purse | None,
    facts: dict,
  ) -> Chosen:
    """The picks and, where those ended early, the tail."""
    examples = picks.examples.tolist()
    taken = np.zeros(function.examples, bool)
    taken[examples] = True
    order = np.arange(function.examples)
    if self.tail == Tail.ALONE and len(examples) < count:
      order = np.argsort(-function.fresh().gains(), kind="stable")
    for example in order[~taken[order]].tolist():
      if len(examples) == count:
        break
      if rule is None or rule.allows(example):
        examples.append(example)
        if rule is not None:
          rule.took(example)
    gains = np.zeros(len(examples))
    gains[: len(picks.gains)] = picks.gains
    facts |= {
      "without_gain": int(np.count_nonzero(gains <= 0)),
      "curve": _curve(gains),
    }
    return Chosen(np.array(examples, np.int64), gains, facts)


def _curve(gains: Float64[np.ndarray, " k"]) -> dict[str, list]:
  """The value after some numbers of picks, evenly spaced."""
  ends = np.unique(np.linspace(0, len(gains), _CURVE + 1).round().astype(int))
  values = np.concatenate([[0.0], np.cumsum(gains)])[ends]
  return {"picks": ends.tolist(), "value": values.tolist()}
