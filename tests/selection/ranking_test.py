# SPDX-License-Identifier: Apache-2.0
"""The cut of a ranking that is never made, against the ranking."""

import numpy as np
import pytest

from data_efficient.selection import ranking


def _corpus(seed, *, dtype=np.float32, ties=False, tokens=True):
  """Shards of uneven lengths, some empty, some unscorable records."""
  generator = np.random.default_rng(seed)
  blocks = []
  for count in generator.integers(0, 400, size=9):
    values = generator.normal(size=count).astype(dtype)
    if ties:
      values = np.round(values)
    values[generator.random(count) < 0.1] = np.nan
    amounts = generator.integers(0, 50, size=count)
    amounts[generator.random(count) < 0.01] = 30_000
    blocks.append(
      ranking.Candidates(values, amounts if tokens else None, count)
    )
  return blocks


def _kept_by_sorting(blocks, wanted):
  values = np.concatenate([block.priorities for block in blocks])
  amounts = np.concatenate(
    [
      np.ones(len(block.priorities), int)
      if block.amounts is None
      else block.amounts
      for block in blocks
    ]
  )
  order = sorted(
    (
      record
      for record in range(len(values))
      if values[record] == values[record]
    ),
    key=lambda record: (-values[record], record),
  )
  kept, spent = [], 0
  for record in order:
    kept.append(record)
    spent += amounts[record]
    if spent >= wanted:
      return sorted(kept)
  raise AssertionError("too little")


def _cut(blocks, share):
  found = ranking.totals(lambda: iter(blocks))
  wanted = max(1, int(share * found.available))
  return wanted, ranking.cut(lambda: iter(blocks), wanted, found)


def _kept(blocks, cut):
  first, masks = 0, [np.zeros(0, bool)]
  for block in blocks:
    masks.append(cut.keeps(block.priorities, first=first))
    first += len(block.priorities)
  return np.flatnonzero(np.concatenate(masks)).tolist()


@pytest.mark.parametrize("share", [1e-9, 0.01, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(
  "sampled, sigmas", [(3, 6.0), (64, 0.01), (64, 6.0), (1 << 20, 6.0)]
)
def test_the_cut_is_that_of_the_sorted_corpus(
  monkeypatch, share, ties, tokens, sampled, sigmas
):
  # Of few sampled records the bracket misses the cut, and is widened.
  monkeypatch.setattr(ranking, "_SAMPLED", sampled)
  monkeypatch.setattr(ranking, "_SIGMAS", sigmas)
  for seed in range(6):
    blocks = _corpus(seed, ties=ties, tokens=tokens)
    wanted, cut = _cut(blocks, share)
    assert _kept(blocks, cut) == _kept_by_sorting(blocks, wanted)


def test_all_records_tied_are_kept_from_the_start():
  blocks = [ranking.Candidates(np.zeros(100), None, 100) for _ in range(5)]
  _, cut = _cut(blocks, 0.5)
  assert _kept(blocks, cut) == list(range(250))


def test_infinite_priorities_have_a_rank():
  values = np.array([-np.inf, 0, np.inf, np.nan, np.inf])
  blocks = [ranking.Candidates(values, None, 5)]
  kept = [_kept(blocks, _cut(blocks, share)[1]) for share in (0.25, 0.5, 1)]
  assert kept == [[2], [2, 4], [0, 1, 2, 4]]


@pytest.mark.parametrize("limit", [0, 3_000, 10**9])
def test_what_fits_is_made_once(limit):
  made = []

  def make():
    for number, block in enumerate(_corpus(1)):
      yield lambda number=number, block=block: made.append(number) or block

  shards = ranking.Replayed(make, limit)
  first, second = list(shards()), list(shards())
  assert [block.priorities.tobytes() for block in first] == [
    block.priorities.tobytes() for block in second
  ]
  again = len(made) - len(first)
  size = sum(b.priorities.nbytes + b.amounts.nbytes for b in first)
  assert again == 0 if size <= limit else again > 0
  if limit == 3_000:
    assert 0 < again < len(first)
