# SPDX-License-Identifier: Apache-2.0
"""Greedy maximisation of a submodular function, step by step or lazily.

The example of the largest gain, again and again; of equal gains the first
example. For a monotone function and k picks the set is worth at least 1 − 1/e
of the best one (Nemhauser, Wolsey & Fisher 1978); what it is worth at least in
the case at hand is said by `certificates`.

All of them end where nothing adds anything (monotone functions), nothing is
allowed any more, or there are enough; who wants more fills the rest himself.
"""

import heapq
import math
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from data_efficient.kernels import sampling
from data_efficient.selection import interface

# By how much of itself a gain that was summed in another order may be too low.
SLACK = 2e-6


@runtime_checkable
class SetFunction(Protocol):
  """A submodular function at a set, which grows.

  Attributes:
    examples: how many there are to choose from.
    monotone: whether no gain is below 0.
    value: f of the set, 0 of the empty one.
  """

  examples: int
  monotone: bool
  value: float

  def fresh(self) -> "SetFunction":
    """The empty set."""

  def gain(self, example: int) -> float:
    """f(A ∪ {j}) − f(A) of an example that is not in the set."""

  def gains(self) -> Float[np.ndarray, " j"]:
    """Gains of all examples, to `SLACK` of themselves."""

  def add(self, example: int) -> float:
    """Puts an example into the set; returns its gain."""

  def whole(self) -> float:
    """No less than f of all examples, nor of any set of a monotone f."""


@runtime_checkable
class Rule(Protocol):
  """What may still be chosen. What may not now may not ever."""

  def allows(self, example: int) -> bool:
    """Whether the example may be next."""

  def took(self, example: int) -> None:
    """Takes note that it was."""


class Picks(NamedTuple):
  """Examples in the order in which they were taken.

  Attributes:
    examples: their numbers.
    gains: what each added.
    evaluations: gains that were computed one by one.
  """

  examples: Int64[np.ndarray, " k"]
  gains: Float64[np.ndarray, " k"]
  evaluations: int


class Making:
  """Picks in the making.

  Args:
    function: at the empty set; grows.
    rule: what may be chosen.

  Attributes:
    examples: picked so far.
    gains: what each added.
    evaluations: gains computed one by one.
  """

  def __init__(self, function: SetFunction, rule: Rule | None):
    self._function, self._rule = function, rule
    self.examples: list[int] = []
    self.gains: list[float] = []
    self.evaluations = 0

  def allows(self, example: int) -> bool:
    """Whether it may be next."""
    return self._rule is None or self._rule.allows(example)

  def gain(self, example: int) -> float:
    """What it would add."""
    self.evaluations += 1
    return self._function.gain(example)

  def take(self, example: int) -> None:
    """Picks it."""
    self.note(example, self._function.add(example))

  def note(self, example: int, gain: float) -> None:
    """Takes note of an example that is in the set now, and of its gain."""
    self.gains.append(gain)
    self.examples.append(example)
    if self._rule is not None:
      self._rule.took(example)

  def picks(self) -> Picks:
    """Those so far."""
    return Picks(
      np.array(self.examples, np.int64),
      np.array(self.gains, np.float64),
      self.evaluations,
    )


def naive(
  function: SetFunction,
  count: int,
  *,
  rule: Rule | None = None,
  costs: Int[np.ndarray, " j"] | None = None,
) -> Picks:
  """All gains anew before each pick: slow and plain, what others must equal.

  Args:
    function: at the empty set; grows.
    count: picks, at most.
    rule: what may be chosen.
    costs: of the examples, above 0: then the gain for its cost counts.
  """
  made = Making(function, rule)
  left = list(range(function.examples))
  while len(made.examples) < count:
    left = [example for example in left if made.allows(example)]
    if not left:
      break
    gains = np.array([made.gain(example) for example in left])
    rates = gains if costs is None else gains / costs[left]
    best = int(rates.argmax())
    if function.monotone and gains[best] <= 0:
      break
    made.take(left.pop(best))
  return made.picks()


def lazy(
  function: SetFunction,
  count: int,
  *,
  rule: Rule | None = None,
  costs: Int[np.ndarray, " j"] | None = None,
) -> Picks:
  """The same picks with few gains: one that was cannot have grown.

  Minoux 1978, "Accelerated greedy algorithms"; CELF of Leskovec et al. 2007.
  Args as of `naive`.
  """
  made = Making(function, rule)
  bounds = function.gains()
  bounds = bounds + SLACK * np.abs(bounds)
  if costs is not None:
    bounds = bounds / costs
  heap = list(zip((-bounds).tolist(), range(len(bounds)), strict=True))
  heapq.heapify(heap)
  prices = None if costs is None else costs.tolist()
  counted = [-1] * function.examples  # at which pick
  step = 0
  while heap and step < count:
    rate, example = heap[0]
    if not made.allows(example):
      heapq.heappop(heap)
    elif counted[example] < step:
      gain = made.gain(example)
      counted[example] = step
      rate = -gain if prices is None else -gain / prices[example]
      heapq.heapreplace(heap, (rate, example))
    elif function.monotone and rate >= 0:
      break
    else:
      heapq.heappop(heap)
      made.take(example)
      step += 1
  return made.picks()


def stochastic(
  function: SetFunction,
  count: int,
  *,
  epsilon: float,
  seed: int,
  rule: Rule | None = None,
) -> Picks:
  """The best of a random sample of (n/k) ln(1/ε), again and again.

  1 − 1/e − ε of the best set in expectation, by n ln(1/ε) gains whatever the
  budget (Mirzasoleiman et al. 2015, "Lazier than lazy greedy"). A draw depends
  on the seed and the number of the pick alone.

  Args:
    function: at the empty set; grows.
    count: picks, at most.
    epsilon: ε, above 0 and below 1.
    seed: of the draws.
    rule: what may be chosen.

  Raises:
    SelectionError: ε is not there.
  """
  if not 0 < epsilon < 1:
    raise interface.SelectionError(
      f"epsilon must be above 0 and below 1, got {epsilon}"
    )
  made = Making(function, rule)
  left = np.arange(function.examples)
  size = math.ceil(len(left) / max(count, 1) * math.log(1 / epsilon))
  stream, turn, room = interface.stream("stochastic greedy"), 0, len(left)
  while len(made.examples) < count and room:
    draws = sampling.uniforms(
      seed=seed, stream=stream, count=size, start=turn * size
    )
    turn += 1
    places = np.unique((draws * room).astype(np.int64))
    sample = left[places].tolist()
    gone = [not made.allows(example) for example in sample]
    if any(gone):
      dropped = places[gone]
    else:
      # Of equal gains the first example, wherever it lies.
      gains = [(made.gain(example), -example) for example in sample]
      best = gains.index(max(gains))
      made.take(sample[best])
      dropped = places[best : best + 1]
    # The last ones take the places of those that are gone, from the end on.
    for place in dropped[::-1].tolist():
      room -= 1
      left[place] = left[room]
  return made.picks()
