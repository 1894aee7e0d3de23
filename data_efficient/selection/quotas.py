# SPDX-License-Identifier: Apache-2.0
"""Quotas: no source falls below or rises above a named share of the budget.

What is kept is the best that the quotas allow, exactly: of each label with a
lower bound the first records that meet it; of each with an upper bound none
beyond it; and the rest of the budget goes to the first of all that are left.
"""

import dataclasses
import fnmatch
import fractions
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from data_efficient.selection import passes, ranking
from data_efficient.selection.candidates import Reached, Records
from data_efficient.selection.interface import SelectionError

Codes = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quotas:
  """Bounds on what each label has of the budget.

  A pattern (as of file names: 'en/*') bounds each label that it matches, on
  its own; of several that match, the first one counts.

  Attributes:
    label: "source" or "group" of a record, or the name of its "shard".
    at_least: pattern to the least share of the budget, from 0 to 1.
    at_most: pattern to the largest.
  """

  label: str
  at_least: Mapping[str, float | int]
  at_most: Mapping[str, float | int]

  def __post_init__(self):
    """Refuses what no selection can satisfy, with SelectionError."""
    if self.label not in ("source", "group", "shard"):
      raise SelectionError(
        f"quotas are of a source, group or shard, not of {self.label!r}"
      )
    for pattern, share in (*self.at_least.items(), *self.at_most.items()):
      if not 0 <= share <= 1:
        raise SelectionError(
          f"the quota of {pattern!r} must be from 0 to 1, got {share}"
        )

  def describe(self) -> dict:
    """The quotas in a selection's manifest."""
    return {
      "label": self.label,
      "at_least": dict(self.at_least),
      "at_most": dict(self.at_most),
    }

  def bounds(self, name: str, wanted: int) -> tuple[int, int]:
    """The least and the most of a budget that a label may have."""
    least = _share(self.at_least, name, 0.0) * wanted
    most = _share(self.at_most, name, 1.0) * wanted
    return math.ceil(least), math.floor(most)


class Labelled(NamedTuple):
  """A ranking whose records have labels.

  Attributes:
    names: of the labels.
    sizes: records in each shard.
    shard: the records of the shard with a number.
    codes: their labels, as numbers of `names`.
  """

  names: Sequence[str]
  sizes: Sequence[int]
  shard: Callable[[int], Records]
  codes: Callable[[int], Codes]

  def available(self, each: passes.Each | None) -> list[int]:
    """What the records with a priority of each label count."""
    found = (each or passes.mapped)(self._available, len(self.sizes))
    none = np.zeros(len(self.names), np.int64)
    return sum((counts for (counts,) in found), none).tolist()

  def _available(self, number: int) -> tuple[Int[np.ndarray, " labels"]]:
    shard = self.shard(number)
    there = shard.scorable()
    amounts = None if shard.amounts is None else shard.amounts[there]
    codes = self.codes(number)[there]
    # Sums in float64 are exact up to 2⁵³ tokens of a shard.
    counts = np.bincount(codes, amounts, minlength=len(self.names))
    return (counts.astype(np.int64),)

  def only(self, label: int, each: passes.Each | None) -> ranking.Ranking:
    """The records of one label."""
    return ranking.Ranking(
      self.sizes,
      lambda number: _Only(self.shard(number), self.codes(number) == label),
      each=each,
    )


def constrained(
  labelled: Labelled,
  quotas: Quotas,
  wanted: int,
  each: passes.Each | None = None,
) -> ranking.Ranking:
  """The ranking whose cut at `wanted` satisfies the quotas.

  Priorities of records that a lower bound keeps are ∞ in it; records beyond an
  upper bound have none.

  Args:
    labelled: the records.
    quotas: shares of `wanted`.
    wanted: the budget, in examples or tokens.
    each: as for `ranking.Ranking`.

  Raises:
    SelectionError: a pattern that matches no label, or quotas that contradict
      each other or the pool.
  """
  available = labelled.available(each)
  bounds = [quotas.bounds(name, wanted) for name in labelled.names]
  check(labelled.names, quotas, wanted, available, bounds)
  rules = _Rules.none(len(labelled.names))
  for label, (least, most) in enumerate(bounds):
    if least:
      found = labelled.only(label, each).cut(least)
      rules.least[label], rules.last[label] = found.threshold, found.number
    if most < available[label]:
      # The record with which the bound would be exceeded, and all after it.
      found = labelled.only(label, each).cut(most + 1)
      rules.most[label], rules.first[label] = found.threshold, found.number
  starts = np.cumsum([0, *labelled.sizes]).tolist()
  found = ranking.Ranking(
    labelled.sizes,
    lambda number: _Ruled(
      labelled.shard(number), labelled.codes(number), rules, starts[number]
    ),
    each=each,
  )
  if found.totals.available < wanted:
    raise _too_little(quotas.label, found.totals.available, wanted)
  return found


class _Rules(NamedTuple):
  """For each label, where its bounds cut its own ranking.

  Attributes:
    least: priority of the last record that the lower bound keeps.
    last: its number in the corpus.
    most: priority of the first record beyond the upper bound.
    first: its number in the corpus.
  """

  least: np.ndarray
  last: np.ndarray
  most: np.ndarray
  first: np.ndarray

  @classmethod
  def none(cls, labels: int) -> "_Rules":
    """Bounds that bind nothing."""
    return cls(
      np.full(labels, np.inf),
      np.full(labels, -1),
      np.full(labels, -np.inf),
      np.full(labels, np.iinfo(np.int64).max),
    )

  def applied(
    self, values: np.ndarray, codes: Codes, numbers: np.ndarray
  ) -> Float[np.ndarray, " n"]:
    """The priorities under the rules."""
    least, most = self.least[codes], self.most[codes]
    must = values > least
    must |= (values == least) & (numbers <= self.last[codes])
    may = values > most
    may |= (values == most) & (numbers < self.first[codes])
    # Nothing else ranks with those that must be kept.
    inside = np.minimum(values, np.finfo(values.dtype).max)
    none = values.dtype.type(np.nan)
    return np.where(must, np.inf, np.where(may, inside, none))


class _Only:
  """The records of a shard that a mask says."""

  def __init__(self, shard: Records, mask: Bool[np.ndarray, " n"]):
    self._shard, self._mask = shard, mask
    self.records, self.amounts = shard.records, shard.amounts

  def scorable(self) -> Bool[np.ndarray, " n"]:
    return self._shard.scorable() & self._mask

  def thinned(self, picked: slice) -> Float[np.ndarray, " m"]:
    values = self._shard.thinned(picked)
    none = values.dtype.type(np.nan)
    return np.where(self._mask[picked], values, none)

  def reaching(self, low: float) -> Reached:
    found = self._shard.reaching(low)
    return _taken(found, self._mask[found.rows])


class _Ruled:
  """The records of a shard under the rules."""

  def __init__(self, shard: Records, codes: Codes, rules: _Rules, start: int):
    self._shard, self._codes, self._rules = shard, codes, rules
    self._start = start
    self.records, self.amounts = shard.records, shard.amounts

  def scorable(self) -> Bool[np.ndarray, " n"]:
    there = np.zeros(len(self._codes), bool)
    there[self.reaching(-math.inf).rows] = True
    return there

  def thinned(self, picked: slice) -> Float[np.ndarray, " m"]:
    values = self._shard.thinned(picked)
    numbers = self._start + np.arange(len(self._codes))[picked]
    return self._rules.applied(values, self._codes[picked], numbers)

  def reaching(self, low: float) -> Reached:
    # What a lower bound keeps may have any priority.
    found = self._shard.reaching(min(low, self._rules.least.min()))
    values = self._rules.applied(
      found.priorities, self._codes[found.rows], self._start + found.rows
    )
    found = found._replace(priorities=values)
    return _taken(found, values >= low)


def _taken(found: Reached, rows: Bool[np.ndarray, " m"]) -> Reached:
  return Reached(
    *(None if values is None else values[rows] for values in found)
  )


def _share(
  shares: Mapping[str, float | int], name: str, default: float
) -> fractions.Fraction:
  """The decimal number that was typed for a label."""
  for pattern, share in shares.items():
    if fnmatch.fnmatchcase(name, pattern):
      return fractions.Fraction(str(float(share)))
  return fractions.Fraction(default)


def check(
  names: Sequence[str],
  quotas: Quotas,
  wanted: int,
  available: Sequence[int],
  bounds: Sequence[tuple[int, int]],
) -> None:
  """Raises SelectionError unless the quotas can be satisfied."""
  of = quotas.label
  for pattern in (*quotas.at_least, *quotas.at_most):
    if not fnmatch.filter(names, pattern):
      shown = ", ".join(map(repr, sorted(names)[:9]))
      raise SelectionError(
        f"the quota of {pattern!r}: no record of the pool has such a {of}; it "
        f"has {shown}: correct the pattern or leave the quota out"
      )
  for name, there, (least, most) in zip(names, available, bounds, strict=True):
    if least > most:
      raise SelectionError(
        f"the quotas of the {of} {name!r}: at least {least} and at most {most} "
        "of the budget; raise at_most or lower at_least"
      )
    if least > there:
      raise SelectionError(
        f"the quota of the {of} {name!r} asks for at least {least} of the "
        f"budget of {wanted}, but only {there} of the pool can be kept; lower "
        f"at_least to {math.floor(there / wanted * 1e4) / 1e4} or the budget"
      )
  if sum(least for least, _ in bounds) > wanted:
    raise SelectionError(
      f"the lower quotas of all {of}s together are above the whole budget of "
      f"{wanted}; lower at_least"
    )
  most = sum(map(min, available, (most for _, most in bounds)))
  if most < wanted:
    raise _too_little(of, most, wanted)


def _too_little(label: str, most: int, wanted: int) -> SelectionError:
  return SelectionError(
    f"the upper quotas of all {label}s allow {most} of the budget of {wanted}; "
    "raise at_most, or keep less"
  )
