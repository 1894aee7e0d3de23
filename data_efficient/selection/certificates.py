# SPDX-License-Identifier: Apache-2.0
"""How good a greedy set is at least, for the data at hand.

For a monotone submodular f and any sets, f(B) ≤ f(A) + Σ_{j∈B∖A} gain of j at
A. The largest such sum over all sets B that are allowed bounds the best of
them, whatever A is (Leskovec et al. 2007, "Cost-effective outbreak detection in
networks", Sec. 3.2); f of all examples together is another bound.
"""

import numpy as np
from jaxtyping import Int

from data_efficient.selection import greedy, limits


def upper_bound(
  function: greedy.SetFunction,
  taken: Int[np.ndarray, " k"],
  count: int,
  *,
  rule: limits.Groups | limits.Purse | None = None,
) -> float | None:
  """Returns no less than the best value of any set; None if f is not monotone.

  Args:
    function: at the set that is to be judged.
    taken: the examples of that set.
    count: how many examples a set may have.
    rule: what else is asked of a set.
  """
  if not function.monotone:
    return None
  empty = function.fresh()
  nothing = np.zeros(0, np.int64)
  return min(
    function.value + _most(function, taken, count, rule),
    _most(empty, nothing, count, rule),
    function.whole(),
  )


def _most(
  function: greedy.SetFunction,
  taken: Int[np.ndarray, " k"],
  count: int,
  rule: limits.Groups | limits.Purse | None,
) -> float:
  """The largest sum of gains over the sets that are allowed."""
  gains = np.maximum(function.gains(), 0.0) * (1 + greedy.SLACK)
  gains[taken] = 0.0
  if isinstance(rule, limits.Purse):
    return _bought(gains, rule)
  if rule is not None:
    return _allowed(gains, count, rule.fresh())
  first = len(gains) - min(count, len(gains))
  return float(np.sort(gains)[first:].sum())


def _bought(gains: np.ndarray, purse: limits.Purse) -> float:
  """The most that can be bought if the last example may be cut."""
  worth = np.flatnonzero((gains > 0) & (purse.costs <= purse.budget))
  rates = gains[worth] / purse.costs[worth]
  worth = worth[np.argsort(-rates, kind="stable")]
  spent = np.cumsum(purse.costs[worth])
  whole = int(np.searchsorted(spent, purse.budget, side="right"))
  total = float(gains[worth[:whole]].sum())
  if whole < len(worth):
    before = int(spent[whole - 1]) if whole else 0
    share = (purse.budget - before) / purse.costs[worth[whole]]
    total += float(share * gains[worth[whole]])
  return total


def _allowed(gains: np.ndarray, count: int, rule: limits.Groups) -> float:
  """The most that the rule allows: a matroid, where greedy is exact."""
  total = 0.0
  for example in np.argsort(-gains, kind="stable").tolist():
    if not count or gains[example] <= 0:
      break
    if rule.allows(example):
      rule.took(example)
      total += float(gains[example])
      count -= 1
  return total
