# SPDX-License-Identifier: Apache-2.0
"""What quotas keep, against a search over all thresholds."""

import collections

import numpy as np
import pytest

from data_efficient.selection import candidates, quotas
from data_efficient.selection.interface import SelectionError

NAMES = ("web/a", "web/b", "books", "code")


def _corpus(seed, *, ties=False, tokens=False, dtype=np.float64):
  """Shards of priorities and labels; better ones in the later labels."""
  generator = np.random.default_rng(seed)
  blocks, codes = [], []
  for count in (70, 0, 130, 1):
    labels = generator.choice(4, count, p=[0.5, 0.3, 0.15, 0.05])
    values = (generator.normal(size=count) + labels).astype(dtype)
    if ties:
      values = np.round(values)
    values[generator.random(count) < 0.05] = np.nan
    amounts = generator.integers(1, 9, count) if tokens else None
    blocks.append(candidates.Candidates(values, amounts, count))
    codes.append(labels)
  return blocks, codes


def _make(at_least=None, at_most=None):
  return quotas.Quotas(
    label="source", at_least=at_least or {}, at_most=at_most or {}
  )


def _labelled(blocks, codes, names=NAMES):
  sizes = [len(block.priorities) for block in blocks]
  return quotas.Labelled(names, sizes, blocks.__getitem__, codes.__getitem__)


def _kept(blocks, codes, bounds, wanted):
  ranked = quotas.constrained(_labelled(blocks, codes), bounds, wanted)
  first, kept = 0, []
  for block, found in zip(blocks, ranked.kept(ranked.cut(wanted)), strict=True):
    kept += (first + found.rows).tolist()
    first += len(block.priorities)
  return kept


def _slow(blocks, codes, bounds, wanted):
  """The place in the ranking at which the labels' bounded counts meet it."""
  values = np.concatenate([block.priorities for block in blocks])
  labels = np.concatenate(codes)
  order = [
    row
    for row in np.argsort(-values, kind="stable").tolist()
    if not np.isnan(values[row])
  ]
  of = {c: [row for row in order if labels[row] == c] for c in range(4)}
  limits = [bounds.bounds(name, wanted) for name in NAMES]
  for place in range(len(order) + 1):
    ahead = collections.Counter(labels[order[:place]].tolist())
    counts = [
      min(max(ahead[c], least), most, len(of[c]))
      for c, (least, most) in enumerate(limits)
    ]
    if sum(counts) == wanted:
      return sorted(row for c in range(4) for row in of[c][: counts[c]])
  raise AssertionError("no threshold meets the budget")


BOUNDS = [
  _make(),
  _make(at_least={"web/*": 0.3}),
  _make(at_most={"code": 0.02, "books": 0.1}),
  _make(at_least={"web/a": 0.45}, at_most={"*": 0.46}),
  _make(at_least={"code": 0.1}, at_most={"web/b": 0.0}),
]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_that_the_quotas_allow_is_kept(bounds, ties, dtype):
  for seed in range(3):
    blocks, codes = _corpus(seed, ties=ties, dtype=dtype)
    expected = _slow(blocks, codes, bounds, 60)
    assert _kept(blocks, codes, bounds, 60) == expected


def test_shares_of_tokens_are_within_a_record_of_their_bounds():
  blocks, codes = _corpus(0, tokens=True)
  bounds = _make(at_least={"web/a": 0.4}, at_most={"books": 0.1})
  kept = _kept(blocks, codes, bounds, 300)
  labels = np.concatenate(codes)[kept]
  amounts = np.concatenate([block.amounts for block in blocks])[kept]
  assert 300 <= amounts.sum() < 309
  assert 120 <= amounts[labels == 0].sum() and amounts[labels == 2].sum() <= 30


def test_a_smaller_budget_is_inside_a_larger_one():
  blocks, codes = _corpus(1)
  for bounds in BOUNDS:
    tenth, fifth = (_kept(blocks, codes, bounds, k) for k in (20, 40))
    assert set(tenth) < set(fifth)


def test_infinite_priorities_do_not_take_the_place_of_a_quota():
  values = np.array([np.inf, np.inf, 1.0, 0.0])
  blocks = [candidates.Candidates(values, None, 4)]
  codes = [np.array([0, 0, 1, 1])]
  bounds = _make(at_least={"web/b": 0.5})
  assert _kept(blocks, codes, bounds, 2) == [0, 2]


@pytest.mark.parametrize(
  "bounds, message",
  [
    (_make(at_least={"new*": 0.1}), "no record of the pool has such a source"),
    (_make(at_most={"new*": 0.1}), "correct the pattern or leave"),
    (_make(at_least={"code": 0.9}), "only .* of the pool can be kept; lower"),
    (
      _make(at_least={"web/*": 0.6}),
      "together are above the whole budget",
    ),
    (_make(at_most={"*": 0.2}), "raise at_most, or keep less"),
    (
      _make(at_least={"web/a": 0.3}, at_most={"web/a": 0.2}),
      "at least 18 and at most 12",
    ),
  ],
)
def test_quotas_that_cannot_be_met_are_refused(bounds, message):
  blocks, codes = _corpus(0)
  with pytest.raises(SelectionError, match=message):
    _kept(blocks, codes, bounds, 60)


def test_a_source_whose_records_have_no_score_cannot_meet_a_quota():
  values = np.array([1.0, 2.0, np.nan])
  blocks = [candidates.Candidates(values, None, 3)]
  codes = [np.array([0, 0, 1])]
  with pytest.raises(SelectionError, match="'web/b' asks for .* only 0 of"):
    _kept(blocks, codes, _make(at_least={"web/b": 0.5}), 2)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_zero_to_one_are_refused(share):
  with pytest.raises(SelectionError, match="must be from 0 to 1"):
    _make(at_least={"*": share})


def test_quotas_of_nothing_known_are_refused():
  with pytest.raises(SelectionError, match="not of 'language'"):
    quotas.Quotas(label="language", at_least={}, at_most={})
