# SPDX-License-Identifier: Apache-2.0
"""Budgets are met exactly, and impossible ones are refused."""

import numpy as np
import pytest

from data_efficient.selection import budget
from data_efficient.selection.interface import SelectionError
from tests.selection import by_shard


def one_shard(*values):
  return {"s": np.array(values, np.float64)}


def random_priorities(sizes=(5, 0, 13, 2), seed=0):
  generator = np.random.default_rng(seed)
  return {f"s{i}": generator.normal(size=n) for i, n in enumerate(sizes)}


def _cut_by_sorting(priorities, wanted, cost):
  """Takes records one by one, best first, until the cost is met."""
  records = [
    (-value, order, position)
    for order, shard in enumerate(priorities)
    for position, value in enumerate(priorities[shard])
    if not np.isnan(value)
  ]
  kept, spent, names = {s: [] for s in priorities}, 0, list(priorities)
  for _, order, position in sorted(records):
    if spent >= wanted:
      break
    kept[names[order]].append(position)
    spent += cost(names[order], position)
  return {shard: sorted(kept[shard]) for shard in kept}


def as_lists(kept):
  return {shard: kept[shard].tolist() for shard in kept}


@pytest.mark.parametrize("count", [1, 7, 20])
def test_examples_are_exact_and_in_order(count):
  priorities = random_priorities()
  kept = by_shard.cut(priorities, budget.examples(count))
  assert sum(len(p) for p in kept.values()) == count
  assert as_lists(kept) == _cut_by_sorting(priorities, count, lambda s, p: 1)
  assert all(p.dtype == np.int64 for p in kept.values())


@pytest.mark.parametrize("wanted", [1, 10, 37, 60])
def test_tokens_stop_at_the_record_that_meets_the_budget(wanted):
  priorities = random_priorities()
  generator = np.random.default_rng(1)
  counts = {s: generator.integers(0, 9, len(v)) for s, v in priorities.items()}
  kept = by_shard.cut(priorities, budget.tokens(wanted), counts)
  assert as_lists(kept) == _cut_by_sorting(
    priorities, wanted, lambda s, p: counts[s][p]
  )


def test_the_token_budget_is_met_but_not_by_more_than_a_record():
  counts = {"s": np.array([3, 4, 5, 6])}
  priorities = one_shard(4, 3, 2, 1)
  for wanted, records in ((3, 1), (4, 2), (7, 2), (8, 3), (18, 4)):
    kept = by_shard.cut(priorities, budget.tokens(wanted), counts)
    assert len(kept["s"]) == records


@pytest.mark.parametrize(
  "fraction,total,expected",
  [(0.29, 100, 29), (0.5, 5, 3), (1.0, 7, 7), (0.07, 100, 7), (1e-3, 999, 1)],
)
def test_fractions_are_the_decimal_numbers_that_were_typed(
  fraction, total, expected
):
  priorities = {"s": np.arange(total, dtype=np.float64)}
  kept = by_shard.cut(priorities, budget.fraction_of_examples(fraction))
  assert len(kept["s"]) == expected


def test_a_fraction_of_tokens_counts_all_tokens():
  priorities = one_shard(3, np.nan, 1, 2)
  counts = {"s": np.float32([10, 70, 10, 10])}
  kept = by_shard.cut(priorities, budget.fraction_of_tokens(0.2), counts)
  assert kept["s"].tolist() == [0, 3]
  # 0.1 · 30 is above 3 in binary; one record of 3 tokens is still enough.
  kept = by_shard.cut(
    one_shard(2, 1), budget.fraction_of_tokens(0.1), {"s": np.array([3, 27])}
  )
  assert kept["s"].tolist() == [0]


def test_ties_go_to_the_earlier_shard_and_position():
  # Long enough for a sort that is not stable to show it.
  priorities = {"z": np.zeros(300), "a": np.arange(400) % 2.0}
  kept = by_shard.cut(priorities, budget.examples(510))
  assert as_lists(kept) == {
    "z": list(range(300)),
    "a": sorted([*range(1, 400, 2), *range(0, 20, 2)]),
  }


def test_shards_with_nothing_kept_are_listed():
  kept = by_shard.cut({"a": np.zeros(2), "b": np.ones(2)}, budget.examples(2))
  assert as_lists(kept) == {"a": [], "b": [0, 1]}


def test_lowest_priorities_are_still_priorities():
  kept = by_shard.cut(one_shard(-np.inf, 0, np.nan), budget.examples(2))
  assert kept["s"].tolist() == [0, 1]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan"), 20])
@pytest.mark.parametrize(
  "make", [budget.fraction_of_examples, budget.fraction_of_tokens]
)
def test_fractions_outside_zero_to_one_are_refused(make, fraction):
  with pytest.raises(SelectionError, match="above 0 and at most 1"):
    make(fraction)


@pytest.mark.parametrize("count", [0, -1, 2.5, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", [budget.Kind.EXAMPLES, budget.Kind.TOKENS])
def test_counts_below_one_are_refused(kind, count):
  with pytest.raises(SelectionError, match="whole number of at least 1"):
    budget.Budget(kind=kind, amount=count)


def test_a_fraction_of_too_little_is_refused():
  with pytest.raises(SelectionError, match="larger fraction"):
    by_shard.cut(one_shard(1, 2), budget.fraction_of_examples(0.1))


@pytest.mark.parametrize(
  "asked,message",
  [
    (budget.examples(3), "asks for 3 records.* only 2 .*at most 2"),
    (budget.fraction_of_examples(0.9), "asks for 4 .*at most 0.5"),
    (budget.tokens(21), "asks for 21 tokens.* only 20 .*at most 20"),
    (budget.fraction_of_tokens(1.0), "asks for 40 tokens.*at most 0.5"),
  ],
)
def test_more_than_can_be_kept_is_refused_with_the_most(asked, message):
  priorities = one_shard(1, np.nan, 2, np.nan)
  with pytest.raises(SelectionError, match=message):
    by_shard.cut(priorities, asked, {"s": np.full(4, 10)})


def test_nothing_to_keep_is_refused():
  with pytest.raises(SelectionError, match="only 0 can be kept"):
    by_shard.cut(one_shard(np.nan), budget.examples(1))
  with pytest.raises(SelectionError, match="only 0 can be kept"):
    by_shard.cut({}, budget.tokens(1), {})


@pytest.mark.parametrize(
  "counts,message",
  [
    ({"s": np.array([1])}, "1 token counts for the 2 records"),
    ({"s": np.array([1, np.nan])}, "position 1: the token count is nan"),
    ({"s": np.array([-1, 1])}, "position 0: the token count is -1"),
  ],
)
def test_missing_token_counts_are_refused(counts, message):
  with pytest.raises(SelectionError, match=message):
    by_shard.cut(one_shard(1, 2), budget.tokens(1), counts)


def test_token_sums_are_exact_beyond_float32():
  counts = {"s": np.float32([2**24, 1, 1])}
  amount = budget.fraction_of_tokens(1.0)
  found = by_shard.ranked(one_shard(3, 2, 1), amount, counts).totals
  assert found.amount == found.available == 2**24 + 2
