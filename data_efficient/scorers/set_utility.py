# SPDX-License-Identifier: Apache-2.0
"""What one more example in context is worth, beside those chosen before.

  U[target i, example j | S] = d(y_i | S, x_i) − d(y_i | S, x_j, y_j, x_i)

of a list S of examples in context; of none it is the utility of a pair
(`pairwise_utility`). Two examples that help alike, and no more together than
either alone, tell on one another here: no kernel of pairs says so.

Each example is tokenised by itself, header and all, and cut by itself; a
separator stands between two. What was chosen is read once a step and serves
all candidates and targets, where it stands first.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

from data_efficient.scorers import (
  interface,
  pair_tokens,
  pairwise_utility,
)
from data_efficient.scorers.pair_tokens import Example, Target
from data_efficient.scorers.templates import Instruction

NO_ROOM = "no room in the context"


class Order(enum.StrEnum):
  """Where an added example stands: nearest to the query, or farthest."""

  CHOSEN_FIRST = "chosen_first"
  CHOSEN_LAST = "chosen_last"


class Gains(NamedTuple):
  """What each candidate adds.

  Attributes:
    values: utilities, float32; NaN without one.
    statuses: of the candidates: "scored", or why not.
  """

  values: Float32[np.ndarray, "n c"]
  statuses: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sets:
  """How examples in context are chosen, one after the other.

  Attributes:
    count: examples, at most, from 1.
    example_tokens: what each is cut to.
    separator: text between two; "" for none.
    order: a value of `Order`.
    clip: whether an example that harms a target counts as 0 for it.
    shortlist: candidates; None: all.
    kernel: directory of a kernel of these targets and examples, or of a part of
      them; the shortlist is what is worth most by it. None: without one.
  """

  count: int
  example_tokens: int
  separator: str
  order: str
  clip: bool
  shortlist: int | None
  kernel: str | None

  def __post_init__(self):
    """Raises ValueError for settings that cannot be."""
    if self.count < 1 or (self.shortlist is not None and self.shortlist < 1):
      raise ValueError(
        f"count = {self.count}, shortlist = {self.shortlist}: expected at least"
        " 1"
      )
    if self.order not in set(Order):
      raise ValueError(
        f"order = {self.order!r}: expected one of {', '.join(Order)}"
      )
    if (self.shortlist is None) != (self.kernel is None):
      raise ValueError(
        "a shortlist is what is worth most by a kernel: bind SHORTLIST and "
        "KERNEL, or neither"
      )

  def identity(self) -> dict[str, Any]:
    """What the choice depends on, beside records, scorer and kernel."""
    found = dataclasses.asdict(self)
    del found["kernel"]
    return {**found, "order": str(self.order)}


class InContext:
  """Candidates beside what was chosen.

  Args:
    scorer: of pairs; `max_example_tokens` is what all examples have together.
    sets: how they are put together.

  Raises:
    ValueError: one example has no room.
  """

  def __init__(self, scorer: pairwise_utility.PairwiseUtility, sets: Sets):
    if not 0 < sets.example_tokens <= scorer.max_example_tokens:
      raise ValueError(
        f"example_tokens = {sets.example_tokens}: expected from 1 to "
        f"max_example_tokens = {scorer.max_example_tokens}, which all examples "
        "share"
      )
    self._scorer, self._sets = scorer, sets
    tokenizer, only = scorer.tokenizer, scorer.judge.decoder_only
    self._begin = [*(tokenizer.begin_ids if only else ())]
    self._separator = tokenizer.encode(sets.separator) if sets.separator else []
    self._tokens = pair_tokens.PairTokens(
      tokenizer=tokenizer,
      template=scorer.template,
      max_tokens=scorer.max_tokens,
      max_example_tokens=sets.example_tokens,
      decoder_only=only,
    )

  @property
  def max_example_tokens(self) -> int:
    """What each example is cut to."""
    return self._sets.example_tokens

  def example(self, instruction: Instruction) -> Example:
    """A record as an example, cut; or why it cannot be one."""
    return self._tokens.example(instruction)

  def alone(self, targets: Sequence[Target]) -> Float32[np.ndarray, " n"]:
    """d(y_i | x_i) of each target; NaN: unscorable."""
    return self._scorer.alone(targets)

  def gains(
    self,
    targets: Sequence[Target],
    candidates: Sequence[Example],
    *,
    chosen: Sequence[Example],
    distances: Float32[np.ndarray, " n"],
    advance: Callable[[int], None] | None = None,
  ) -> Gains:
    """What each candidate adds for each target.

    Args:
      targets: n of them.
      candidates: c of them.
      chosen: what stands in context already, in its order.
      distances: d(y_i | chosen, x_i) of each target.
      advance: told of pairs as they are done.
    """
    first = self._sets.order == Order.CHOSEN_FIRST
    before = self._joined(chosen) if chosen and first else []
    rows = [self._row(chosen, one, first) for one in candidates]
    room = self._scorer.max_example_tokens - len(before)
    rows = [
      Example([], NO_ROOM) if len(row.tokens) > room else row for row in rows
    ]
    values = self._scorer.block(
      targets, rows, distances, advance, before=before
    )
    statuses = [
      interface.unscorable(row.reason) if row.reason else interface.SCORED
      for row in rows
    ]
    return Gains(values, statuses)

  def _row(
    self, chosen: Sequence[Example], one: Example, first: bool
  ) -> Example:
    """The tokens that are read for a candidate, after what is read before."""
    if one.reason or not chosen:
      return one
    if first:
      return Example([*self._separator, *self._body(one)], None)
    return Example(self._joined([one, *chosen]), None)

  def _joined(self, examples: Sequence[Example]) -> list[int]:
    found = list(self._begin)
    for number, one in enumerate(examples):
      found += self._separator * (number > 0) + self._body(one)
    return found

  def _body(self, one: Example) -> list[int]:
    return one.tokens[len(self._begin) :]


def worth(
  gains: Float32[np.ndarray, "n c"],
  *,
  shown: Bool[np.ndarray, "n c"],
  scorable: Bool[np.ndarray, " n"],
  clip: bool,
) -> Float64[np.ndarray, " c"]:
  """Mean gain of each candidate, over all targets that can be scored.

  Args:
    gains: NaN without one, which counts as 0.
    shown: where the target's own answer stands in context: counts as 0.
    scorable: targets; at least one.
    clip: whether a gain below 0 counts as 0.
  """
  counted = np.where(shown | ~np.isfinite(gains), 0.0, gains)
  if clip:
    counted = np.maximum(counted, 0.0)
  return counted[scorable].astype(np.float64).sum(axis=0) / scorable.sum()
