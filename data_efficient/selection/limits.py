# SPDX-License-Identifier: Apache-2.0
"""What may be chosen besides a number: groups' shares, and a purse.

Each is a rule of `greedy`: an example that is not allowed now is never allowed
later, so that a maximiser may forget it.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from data_efficient.selection.interface import SelectionError


class Groups:
  """At least and at most so many of each group, of a number in all.

  Sets that can still be completed to one that satisfies this are a matroid
  (El Halabi et al. 2020, "Fairness in streaming submodular maximization", Sec.
  3), so a greedy set is worth at least half of the best one that does (Fisher,
  Nemhauser & Wolsey 1978).

  Args:
    codes: each example's group, as a number.
    least: of each group.
    most: of each group.
    count: picks in all.

  Raises:
    SelectionError: a group without members, or bounds that no set satisfies.
  """

  def __init__(
    self,
    codes: Int[np.ndarray, " j"],
    *,
    least: Sequence[int],
    most: Sequence[int],
    count: int,
  ):
    members = np.bincount(codes, minlength=len(least))
    _check(members.tolist(), list(least), list(most), count)
    self._codes, self._count = codes.tolist(), count
    self._least, self._most = tuple(least), tuple(most)
    self._owed, self._room = list(least), list(most)
    self._spare = count - sum(least)

  def fresh(self) -> "Groups":
    """The rule before the first pick."""
    new = object.__new__(type(self))
    new.__dict__.update(self.__dict__)
    new._owed, new._room = list(self._least), list(self._most)
    new._spare = self._count - sum(self._least)
    return new

  def allows(self, example: int) -> bool:
    """Whether its group has room, and the others still get their least."""
    group = self._codes[example]
    owed = self._owed[group] > 0
    return self._room[group] > 0 and (owed or self._spare > 0)

  def took(self, example: int) -> None:
    """Takes note of a pick."""
    group = self._codes[example]
    self._room[group] -= 1
    if self._owed[group]:
      self._owed[group] -= 1
    else:
      self._spare -= 1


class Purse:
  """Costs that may add up to a budget.

  Args:
    costs: of the examples, from 1, such as their tokens.
    budget: what may be spent.

  Raises:
    SelectionError: a cost below 1, a budget below 0, or one that buys nothing.
  """

  def __init__(self, costs: Int[np.ndarray, " j"], budget: int):
    if costs.size and costs.min() < 1:
      raise SelectionError(
        f"example {int(costs.argmin())} costs {costs.min()}: costs start at 1; "
        "leave out what has no tokens"
      )
    if budget < 0 or (budget and costs.size and costs.min() > budget):
      raise SelectionError(
        f"a budget of {budget} buys none of {len(costs)} examples, of which "
        f"the cheapest costs {costs.min() if costs.size else 'nothing'}"
      )
    self.costs, self.budget = costs, budget
    self._prices, self._left = costs.tolist(), budget

  def fresh(self) -> "Purse":
    """The purse when it is full."""
    new = object.__new__(type(self))
    new.__dict__.update(self.__dict__, _left=self.budget)
    return new

  def allows(self, example: int) -> bool:
    """Whether there is enough left for it."""
    return self._prices[example] <= self._left

  def took(self, example: int) -> None:
    """Pays for a pick."""
    self._left -= self._prices[example]


def _check(
  members: list[int], least: list[int], most: list[int], count: int
) -> None:
  empty = [group for group, found in enumerate(members) if not found]
  if empty:
    raise SelectionError(
      f"group {empty[0]} has no members; leave it out, or name the examples "
      "that belong to it"
    )
  for group, bounds in enumerate(zip(members, least, most, strict=True)):
    there, low, high = bounds
    if low > min(there, high):
      raise SelectionError(
        f"group {group}: at least {low} and at most {high} of its {there} "
        "members; lower at_least or raise at_most"
      )
  if sum(least) > count:
    raise SelectionError(
      f"the groups are to have at least {sum(least)} together, and only "
      f"{count} are kept; lower at_least"
    )
  room = sum(map(min, members, most))
  if room < count:
    raise SelectionError(
      f"the groups may have at most {room} together, and {count} are to be "
      "kept; raise at_most, or keep less"
    )
