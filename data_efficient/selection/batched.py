# SPDX-License-Identifier: Apache-2.0
"""Greedy covers with gains counted many at once.

On an accelerator the compiled picks of `kernels.submodular`. On a CPU lazy
greedy whose bounds are lowered all together when that is cheaper than one by
one: a pick raises the covers of some targets only, and what the gains lost by
that is a pass over their rows. A dense kernel has many examples that are nearly
as good as the best, of which plain lazy greedy counts each again and again.

Of a sparse kernel the gains of the neighbours' neighbours of a pick are lowered
at once, exactly, and no other changes.
"""

import math

import jax
import numpy as np
from jaxtyping import Float, Float64

from data_efficient.kernels import submodular
from data_efficient.selection import greedy
from data_efficient.selection.covers import Cover
from data_efficient.selection.sparse_covers import SparseCover

Covers = Cover | SparseCover

# One gain counted on its own takes as long as this many in a pass over rows
# that counts all, and such a pass as long as this many terms before it begins.
_ONE_BY_ONE = 4
_BEGINNING = 400_000
# Of the best gain: how far bounds may be above what they bound.
_LOOSE = 0.05
# Of the largest gain at the beginning: what may be left of one that is 0.
_NOTHING = 1e-12
# Of a sparse kernel's n gains, so many times √n are looked at before a pick,
# and so many times that in a sample that says which.
_LOOKED_AT = 1
_SAMPLED = 16


def batched(
  function: Covers, count: int, *, rule: greedy.Rule | None = None
) -> greedy.Picks:
  """The picks of `greedy.lazy`.

  Args:
    function: at the empty set; grows.
    count: picks, at most.
    rule: what may be chosen; with one, the picks are made on the host.
  """
  if isinstance(function, SparseCover):
    return _sparse(function, count, rule)
  if rule is None and jax.default_backend() != "cpu":
    return _on_accelerator(function, count)
  return _on_host(function, count, rule)


def _on_accelerator(function: Cover, count: int) -> greedy.Picks:
  what = submodular.problem(
    function.kernel,
    floor=function.floor,
    cap=function.cap,
    weight=function.weight,
    modular=function.modular,
  )
  count = min(count, function.examples)
  _, found = submodular.greedy(what, submodular.init(what), count=count)
  examples = np.asarray(found.candidates)
  gains = [
    function.add(example) for example in examples[examples >= 0].tolist()
  ]
  return greedy.Picks(
    examples[examples >= 0].astype(np.int64), np.array(gains, np.float64), 0
  )


def _on_host(
  function: Cover, count: int, rule: greedy.Rule | None
) -> greedy.Picks:
  made = greedy.Making(function, rule)
  bounds = _Bounds(function)
  counted = np.full(function.examples, -1)
  step = 0
  while step < count:
    example = int(bounds.now.argmax())
    bound = bounds.now[example]
    if bound == -np.inf:
      break
    if not made.allows(example):
      bounds.drop(example)
    elif counted[example] == step:
      if bound <= 0:
        break
      made.take(example)
      bounds.drop(example)
      bounds.covers_rose(float(bound))
      step += 1
    elif bounds.lower():
      continue
    else:
      bounds.now[example] = made.gain(example)
      bounds.spent += 1
      counted[example] = step
  return made.picks()


def _sparse(
  function: SparseCover, count: int, rule: greedy.Rule | None
) -> greedy.Picks:
  """All gains are known all the time; few of them may be the largest."""
  made = greedy.Making(function, rule)
  best = _Best(function.gains())
  while len(made.examples) < count:
    example, gain = best.first()
    if gain == -np.inf:
      break
    if not made.allows(example):
      best.drop(example)
    elif gain <= best.nothing and made.gain(example) <= 0:
      # What rounding has left of a gain that is 0.
      best.drop(example)
    else:
      gain = function.add_lowering(example, best.gains)
      best.drop(example)
      made.note(example, gain)
  return made.picks()


class _Best:
  """Gains that only fall, and which of them is the largest.

  The largest ones are looked at; those below their least one are not, before
  all that are looked at have fallen below it.

  Attributes:
    gains: of all examples; −∞ for what is taken.
    nothing: what rounding may leave of a gain that is 0.
  """

  def __init__(self, gains: Float64[np.ndarray, " j"]):
    self.gains = gains
    self.nothing = _NOTHING * float(gains.max(initial=0.0))
    self._size = min(_LOOKED_AT * math.isqrt(len(gains)) + 1, len(gains))
    self._look()

  def first(self) -> tuple[int, float]:
    """The example of the largest gain, the first of equal ones; its gain."""
    found = self._largest()
    example, gain = found
    # Of those that equal the least, the ones up to the last are looked at.
    if gain < self._least or (gain == self._least and example > self._last):
      self._look()
      found = self._largest()
    return found

  def drop(self, example: int) -> None:
    """An example is taken, or not allowed."""
    self.gains[example] = -np.inf

  def _largest(self) -> tuple[int, float]:
    held = self.gains.take(self._some)
    place = held.argmax()
    return self._some.item(place), held.item(place)

  def _look(self) -> None:
    # A sample says about where the largest begin.
    sample = self.gains[:: max(len(self.gains) // (_SAMPLED * self._size), 1)]
    size = -(-self._size * len(sample) // len(self.gains))
    least = float(np.partition(sample, len(sample) - size)[len(sample) - size])
    some = np.flatnonzero(self.gains >= least)
    self._least, self._some, self._last = least, some, len(self.gains)
    if not 0 < len(some) <= 4 * self._size:
      self._look_exactly()

  def _look_exactly(self) -> None:
    """Where many are equal, at the first of them."""
    after = len(self.gains) - self._size
    self._least = float(np.partition(self.gains, after)[after])
    some = np.flatnonzero(self.gains > self._least)
    equal = np.flatnonzero(self.gains == self._least)
    equal = equal[: self._size - len(some)]
    self._last = int(equal[-1])
    self._some = np.sort(np.append(some, equal))


class _Bounds:
  """What no example's gain exceeds.

  Attributes:
    now: the bounds; −∞ for an example that is taken.
    spent: gains that were counted one by one since all were.
  """

  def __init__(self, function: Cover):
    self._function = function
    self.now = np.zeros(function.examples)
    self._count()

  def drop(self, example: int) -> None:
    """An example is taken, or not allowed."""
    self.now[example] = self._all[example] = -np.inf

  def covers_rose(self, gain: float) -> None:
    """The set has grown by an example of this gain."""
    self._gain = gain
    self._risen = int(np.count_nonzero(self._function.cover > self._low))

  def lower(self) -> bool:
    """Lowers all bounds, if that is due; returns whether."""
    one_by_one = self.spent * len(self._low) * _ONE_BY_ONE
    together = self._risen * len(self.now) + _BEGINNING
    if not self._risen or one_by_one < together:
      return False
    if self._above > _LOOSE * self._gain:
      self._count()
      return True
    rows = np.flatnonzero(self._function.cover > self._low)
    lost = self._function.covered(rows, self._low)
    # What was lost is known to some millionths of itself, so less is taken.
    self._above += greedy.SLACK * float(lost.max())
    self._all -= lost * (1 - greedy.SLACK)
    self._keep(self._all)
    return True

  def _count(self) -> None:
    """All gains anew."""
    gains = self._function.gains()
    self._all = np.where(
      np.isneginf(self.now), -np.inf, gains * (1 + greedy.SLACK)
    )
    self._above = 0.0
    self._gain = np.inf
    self.now[:] = self._all
    self._keep(self._all)

  def _keep(self, found: Float[np.ndarray, " j"]) -> None:
    np.minimum(self.now, found, out=self.now)
    self._low = self._function.cover.copy()
    self._risen = self.spent = 0
