# SPDX-License-Identifier: Apache-2.0
"""How much is kept: priorities and a budget to positions.

Records are ranked by priority; ties go to the earlier shard, then to the
earlier position. A budget is a place to cut this one ranking, so a smaller
budget keeps a part of what a larger one keeps.
"""

import dataclasses
import enum
import fractions
import math

import numpy as np
from jaxtyping import Int64

from data_efficient.kernels import sampling
from data_efficient.selection import interface, ranking
from data_efficient.selection.interface import SelectionError

Positions = dict[str, Int64[np.ndarray, "_"]]


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


def cut(
  priorities: interface.ByShard,
  budget: Budget,
  tokens: interface.GivenByShard | None = None,
) -> Positions:
  """Returns the kept positions of every shard, ascending.

  Args:
    priorities: one a record, shards in the corpus's order; records with NaN
      are never kept.
    budget: examples are met exactly; tokens are cut at the first record with
      which the kept tokens reach the budget.
    tokens: the number of tokens of each record, for budgets of tokens.

  Raises:
    SelectionError: nothing would be kept, there is too little to keep, or the
      token counts are missing.
  """
  kept = _ranked(priorities, budget, tokens).kept()
  return ranking.by_shard(kept, priorities)


def thresholds(
  priorities: interface.ByShard,
  budget: Budget,
  tokens: interface.GivenByShard | None = None,
) -> interface.ByShard:
  """The priority that each kept record had to exceed to be kept.

  It depends on the other records alone (`Ranking.thresholds`). For a budget of
  k examples it is the (k + 1)-th priority, the same for all; for tokens it is
  lower the longer the record.

  Args:
    priorities: as for `cut`.
    budget: as for `cut`.
    tokens: as for `cut`.

  Returns:
    For each shard, one value for each of its positions in `cut`; −∞ where the
    record cannot be left out.

  Raises:
    SelectionError: as `cut`.
  """
  ranked = _ranked(priorities, budget, tokens)
  flat = ranking.flatten(priorities)
  found = np.full(len(flat), np.nan)
  found[ranked.kept()] = ranked.thresholds(flat)
  values = ranking.split(found, priorities)
  positions = ranking.by_shard(ranked.kept(), priorities)
  return {shard: values[shard][rows] for shard, rows in positions.items()}


def _ranked(
  priorities: interface.ByShard,
  budget: Budget,
  tokens: interface.GivenByShard | None,
) -> ranking.Ranking:
  flat = ranking.flatten(priorities)
  scorable = int(np.count_nonzero(~np.isnan(flat)))
  # NaN sorts last; a stable sort leaves ties in the corpus's order.
  order = np.argsort(-flat, kind="stable")[:scorable]
  if budget.kind in OF_TOKENS:
    amounts = ranking.flatten(_token_counts(tokens, priorities))
    wanted = _wanted_tokens(budget, amounts, order)
  else:
    amounts = np.ones(len(flat), np.int64)
    wanted = _wanted_records(budget, len(flat), scorable)
  return ranking.Ranking(order, amounts, wanted)


def _wanted_records(budget: Budget, records: int, scorable: int) -> int:
  wanted = budget.of(records)
  if wanted == 0:
    raise SelectionError(
      f"a fraction of {budget.amount} of {records} records is none; ask for a "
      "larger fraction, or for a number of examples"
    )
  _check_enough(budget, wanted, scorable, of=records, unit="records")
  return wanted


def _wanted_tokens(
  budget: Budget, counts: np.ndarray, order: np.ndarray
) -> int:
  total, available = int(counts.sum()), int(counts[order].sum())
  wanted = budget.of(total)
  if wanted == 0:
    raise SelectionError(
      f"a fraction of {budget.amount} of {total} tokens is none; the "
      "corpus has no tokens"
    )
  _check_enough(budget, wanted, available, of=total, unit="tokens")
  return wanted


def _check_enough(
  budget: Budget, wanted: int, available: int, *, of: int, unit: str
) -> None:
  if wanted <= available:
    return
  most = available
  if budget.kind in FRACTIONS:
    most = math.floor(available / max(of, 1) * 10**6) / 10**6
  raise SelectionError(
    f"the budget asks for {wanted} {unit}, but of the corpus's {of} {unit} "
    f"only {available} can be kept (the others have no score); ask for "
    f"{budget.kind.value} of at most {most}"
  )


def _token_counts(
  tokens: interface.GivenByShard | None, priorities: interface.ByShard
) -> Positions:
  """Returns the token counts as int64, whose sums are exact."""
  if tokens is None:
    raise SelectionError(
      "a budget of tokens needs the token count of each record; score the "
      "corpus with TokenCounts, or use a budget of examples"
    )
  shards = {shard: len(values) for shard, values in priorities.items()}
  interface.check_lengths(tokens, shards=shards, what="token counts")
  for shard in shards:
    wrong = np.flatnonzero(~(tokens[shard] >= 0) | np.isinf(tokens[shard]))
    if wrong.size:
      raise SelectionError(
        f"shard {shard!r}, position {wrong[0]}: the token count is "
        f"{tokens[shard][wrong[0]]}; score the corpus with TokenCounts again"
      )
  return {shard: tokens[shard].astype(np.int64) for shard in shards}


def summary(
  priorities: interface.ByShard,
  kept: Positions,
  *,
  tokens: interface.GivenByShard | None = None,
  log_weights: interface.ByShard | None = None,
) -> dict:
  """Returns what a selection's manifest says of it, JSON-able.

  "records", "scorable_records", "kept_records", "kept_fraction" (of records),
  "threshold" (priority of the last record kept, null if not finite);
  with token counts "tokens", "kept_tokens", "kept_token_fraction"; with
  sampling weights "weight_ratio" (largest over smallest, null if it exceeds
  float64), "effective_sample_size" (Σw)²/Σw² in records of the corpus, and
  "effective_sample_share" of the scorable records.
  """
  flat = ranking.flatten(priorities)
  chosen = ranking.flatten({s: priorities[s][kept[s]] for s in priorities})
  facts = {
    "records": len(flat),
    "scorable_records": int(np.count_nonzero(~np.isnan(flat))),
    "kept_records": len(chosen),
    "kept_fraction": len(chosen) / len(flat),
    "threshold": _finite(chosen.min()),
  }
  if tokens is not None:
    counts = _token_counts(tokens, priorities)
    total = sum(int(counts[s].sum()) for s in priorities)
    part = sum(int(counts[s][kept[s]].sum()) for s in priorities)
    facts |= {"tokens": total, "kept_tokens": part}
    facts["kept_token_fraction"] = part / max(total, 1)
  if log_weights is not None:
    weights = sampling.summarise_log_weights(ranking.flatten(log_weights))
    facts |= {
      "weight_ratio": _finite(weights.ratio),
      "effective_sample_size": weights.effective_sample_size,
      "effective_sample_share": weights.effective_sample_size / weights.records,
    }
  return facts


def _finite(value: float) -> float | None:
  return float(value) if np.isfinite(value) else None
