# SPDX-License-Identifier: Apache-2.0
"""How much is kept.

A budget is a place to cut the one ranking of a corpus's records (`ranking`),
so a smaller budget keeps a part of what a larger one keeps. Examples are met
exactly; tokens are cut at the first record with which they reach the budget.
"""

import dataclasses
import enum
import fractions
import math

import numpy as np
from jaxtyping import Int64, Shaped

from data_efficient.selection import interface, ranking
from data_efficient.selection.candidates import Totals
from data_efficient.selection.interface import SelectionError


class Kind(enum.Enum):
  """What a budget counts."""

  EXAMPLES = "examples"
  TOKENS = "tokens"
  FRACTION_OF_EXAMPLES = "fraction_of_examples"
  FRACTION_OF_TOKENS = "fraction_of_tokens"


FRACTIONS = (Kind.FRACTION_OF_EXAMPLES, Kind.FRACTION_OF_TOKENS)
OF_TOKENS = (Kind.TOKENS, Kind.FRACTION_OF_TOKENS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
  """How much to keep.

  Attributes:
    kind: what is counted.
    amount: a positive whole number of examples or tokens, or a fraction in
      (0, 1] of all records or all tokens of the corpus, unscorable records
      included.
  """

  kind: Kind
  amount: int | float

  def __post_init__(self):
    """Refuses an amount that its kind cannot have, with SelectionError."""
    if self.kind in FRACTIONS:
      if not 0 < self.amount <= 1:
        raise SelectionError(
          f"a kept fraction must be above 0 and at most 1, got {self.amount}"
        )
    elif self.amount != self.amount // 1 or self.amount < 1:
      raise SelectionError(
        f"a budget of {self.kind.value} must be a whole number of at least 1, "
        f"got {self.amount}"
      )

  def describe(self) -> dict:
    """The budget in a selection's manifest."""
    return {"kind": self.kind.value, "amount": self.amount}

  def of(self, total: int) -> int:
    """Returns the whole number that is asked of a corpus with `total`.

    A fraction is taken as the decimal number that was typed (0.29 of 100 is
    29, though 0.29 · 100 < 29 in binary). Examples are rounded to the nearest
    number, halves up; tokens are rounded up, as a budget is to be met.
    """
    if self.kind not in FRACTIONS:
      return int(self.amount)
    exact = fractions.Fraction(str(float(self.amount))) * total
    if self.kind is Kind.FRACTION_OF_TOKENS:
      return math.ceil(exact)
    return math.floor(exact + fractions.Fraction(1, 2))


def examples(count: int) -> Budget:
  """A number of records."""
  return Budget(kind=Kind.EXAMPLES, amount=count)


def tokens(count: int) -> Budget:
  """A number of tokens."""
  return Budget(kind=Kind.TOKENS, amount=count)


def fraction_of_examples(fraction: float | int) -> Budget:
  """A fraction of the corpus's records."""
  return Budget(kind=Kind.FRACTION_OF_EXAMPLES, amount=fraction)


def fraction_of_tokens(fraction: float | int) -> Budget:
  """A fraction of the corpus's tokens."""
  return Budget(kind=Kind.FRACTION_OF_TOKENS, amount=fraction)


def sample(amount: float | int) -> Budget:
  """A fraction of the corpus's records up to 1, a number of them above it."""
  if amount <= 1:
    return fraction_of_examples(amount)
  return examples(amount)


def wanted(budget: Budget, found: Totals) -> int:
  """Returns how many records or tokens the budget asks of a corpus.

  Raises:
    SelectionError: none, or more than can be kept.
  """
  unit = "tokens" if budget.kind in OF_TOKENS else "records"
  asked = budget.of(found.amount)
  if asked == 0:
    raise SelectionError(
      f"a fraction of {budget.amount} of {found.amount} {unit} is none; "
      + (
        "ask for a larger fraction, or for a number of examples"
        if found.amount
        else f"the corpus has no {unit}"
      )
    )
  if asked > found.available:
    most = found.available
    if budget.kind in FRACTIONS:
      share = found.available / max(found.amount, 1)
      most = math.floor(share * 10**6) / 10**6
    raise SelectionError(
      f"the budget asks for {asked} {unit}, but of the corpus's "
      f"{found.amount} {unit} only {found.available} can be kept (the others "
      f"have no score); ask for {budget.kind.value} of at most {most}"
    )
  return asked


def token_counts(
  counts: Shaped[np.ndarray, " n"], shard: interface.Shard
) -> Int64[np.ndarray, " n"]:
  """Returns the counts of a shard's records as int64, whose sums are exact.

  Raises:
    SelectionError: not one a record, or one that is no count.
  """
  interface.check_length(counts, shard=shard, what="token counts")
  wrong = np.flatnonzero(~(counts >= 0) | np.isinf(counts))
  if wrong.size:
    raise SelectionError(
      f"shard {shard.name!r}, position {wrong[0]}: the token count is "
      f"{counts[wrong[0]]}; score the corpus with TokenCounts again"
    )
  return counts.astype(np.int64)


def cut(ranked: ranking.Ranking, budget: Budget) -> ranking.Cut:
  """Returns where the budget cuts the ranking.

  Args:
    ranked: the records; their amounts are tokens for a budget of tokens, None
      for one of examples.
    budget: how much to keep.

  Raises:
    SelectionError: nothing would be kept, or there is too little to keep.
  """
  return ranked.cut(wanted(budget, ranked.totals))
