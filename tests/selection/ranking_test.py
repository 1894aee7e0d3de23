# SPDX-License-Identifier: Apache-2.0
"""The cut of a ranking that is never made, against the ranking."""

import numpy as np
import pytest

from data_efficient.selection import candidates, passes, ranking
from tests.selection import by_shard


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
      candidates.Candidates(values, amounts if tokens else None, count)
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


def _cut(ranked, share):
  wanted = max(1, int(share * ranked.totals.available))
  return wanted, ranked.cut(wanted)


def _kept(ranked, cut, starts):
  found = zip(ranked.kept(cut), starts, strict=True)
  return np.concatenate([b.rows + start for b, start in found]).tolist()


def _starts(blocks):
  return np.cumsum([0] + [len(block.priorities) for block in blocks])[:-1]


@pytest.mark.parametrize("share", [1e-9, 0.01, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(
  "sampled, sigmas, limit",
  [
    (3, 6.0, 2_000),
    (64, 0.01, 0),
    (64, 6.0, 2_000),
    (1 << 20, 6.0, 1 << 30),
  ],
)
def test_the_cut_is_that_of_the_sorted_corpus(
  monkeypatch, share, ties, tokens, sampled, sigmas, limit
):
  # Of few sampled records the bracket misses the cut, and is widened; what is
  # not held is made again.
  monkeypatch.setattr(ranking, "_SAMPLED", sampled)
  monkeypatch.setattr(ranking, "_SIGMAS", sigmas)
  for seed in range(6):
    blocks = _corpus(seed, ties=ties, tokens=tokens)
    ranked = by_shard.ranking_of(blocks, limit=limit)
    wanted, cut = _cut(ranked, share)
    kept = _kept(ranked, cut, _starts(blocks))
    assert kept == _kept_by_sorting(blocks, wanted)


def test_all_records_tied_are_kept_from_the_start():
  blocks = [candidates.Candidates(np.zeros(100), None, 100) for _ in range(5)]
  ranked = by_shard.ranking_of(blocks)
  _, cut = _cut(ranked, 0.5)
  assert _kept(ranked, cut, _starts(blocks)) == list(range(250))


def test_infinite_priorities_have_a_rank():
  values = np.array([-np.inf, 0, np.inf, np.nan, np.inf])
  ranked = by_shard.ranking_of([candidates.Candidates(values, None, 5)])
  kept = [
    _kept(ranked, _cut(ranked, share)[1], [0]) for share in (0.25, 0.5, 1)
  ]
  assert kept == [[2], [2, 4], [0, 1, 2, 4]]


@pytest.mark.parametrize("limit, again", [(0, True), (10**9, False)])
def test_what_fits_is_looked_for_once(limit, again):
  blocks, asked = _corpus(1), []

  def shard(number):
    asked.append(number)
    return blocks[number]

  sizes = [len(block.priorities) for block in blocks]
  ranked = ranking.Ranking(sizes, shard, limit=limit)
  _, cut = _cut(ranked, 0.3)
  before = len(asked)
  list(ranked.kept(cut))
  assert (len(asked) > before) == again


def test_results_come_in_order_and_so_do_errors():
  assert list(passes.mapped(lambda n: n * n, 50)) == [n * n for n in range(50)]
  assert list(passes.mapped(print, 0)) == []

  def fails(number):
    if number in (3, 30):
      raise ValueError(f"shard {number}")
    return number

  with pytest.raises(ValueError, match="shard 3$"):
    list(passes.mapped(fails, 50))
