# SPDX-License-Identifier: Apache-2.0
"""A draw is the same however it is computed, and no accident of floats."""

import concurrent.futures
import itertools
import math
import multiprocessing

import numpy as np
import pytest

from data_efficient.selection import (
  budget,
  drawing,
  interface,
  inverse_propensity,
  quality_coverage,
  random,
  resampling,
)
from tests.selection import by_shard

SELECTORS = [
  random.Random(),
  inverse_propensity.InversePropensity(),
  resampling.Resampling(),
  quality_coverage.QualityCoverage(temperature=0.5),
]


def _shard(count, seed=0, name="s"):
  generator = np.random.default_rng(seed)
  scores, others = generator.uniform(0.1, 2, (2, count)).astype(np.float32)
  scores[::9] = np.nan
  return interface.Shard(name, count, scores, others)


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("low", [-math.inf, -1.0, 2.5, 9.0, math.inf])
def test_what_reaches_is_what_ranks_so_high_bit_for_bit(selector, low):
  shard = _shard(100_000)
  whole = selector.priorities(shard, seed=3)
  rows, values = [], []
  for piece in shard.pieces():
    found, priorities = drawing.reaching(selector, piece, seed=3, low=low)
    rows.append(piece.start + found)
    values.append(priorities)
  expected = np.flatnonzero(whole >= low)
  np.testing.assert_array_equal(np.concatenate(rows), expected)
  np.testing.assert_array_equal(np.concatenate(values), whole[expected])


@pytest.mark.parametrize("selector", SELECTORS)
def test_scorable_are_those_with_a_priority(selector):
  shard = _shard(1000)
  there = drawing.scorable(selector, shard, seed=0)
  known = ~np.isnan(selector.priorities(shard, seed=0))
  np.testing.assert_array_equal(there, known)
  assert there.sum() == 1000 - 112


def _priorities(part):
  selector, shard = part
  return selector.priorities(shard, seed=7)


def test_one_three_and_eight_processes_draw_the_same():
  selector = inverse_propensity.InversePropensity()
  shards = [_shard(count, count, f"s{count}") for count in (900, 0, 41, 300)]
  amount = budget.examples(120)

  def drawn(parts, values):
    whole = {}
    for part, found in zip(parts, values, strict=True):
      whole.setdefault(part.name, []).append((part.start, found))
    ordered = {
      shard.name: np.concatenate(
        [f for _, f in sorted(whole[shard.name], key=lambda part: part[0])]
      )
      for shard in shards
    }
    kept = by_shard.cut(ordered, amount)
    return {name: rows.tolist() for name, rows in kept.items()}

  expected = drawn(shards, [_priorities((selector, s)) for s in shards])
  assert sum(map(len, expected.values())) == 120
  context = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(3, context) as pool:
    for count in (1, 3, 8):
      # Every count-th part is of another process; the last ones come first.
      parts = [part for shard in shards for part in _cut(shard, count)][::-1]
      values = pool.map(_priorities, [(selector, part) for part in parts])
      assert drawn(parts, values) == expected


def _cut(shard, count):
  edges = np.linspace(0, shard.records, count + 1).astype(int)
  for first, last in itertools.pairwise(edges):
    yield shard.taken(slice(first, last))._replace(start=int(first))


def test_an_empty_shard_has_nothing_to_draw():
  empty = interface.Shard("s", 0, np.zeros(0, np.float32), np.zeros(0))
  for selector in SELECTORS:
    assert selector.priorities(empty, seed=0).shape == (0,)
    assert list(empty.pieces()) == []
    assert drawing.reaching(selector, empty, seed=0, low=0.0)[0].shape == (0,)


def test_weights_that_underflow_are_still_weights():
  # exp(−2000) is 0 in float64; so would the first 50 weights be.
  scores = np.concatenate([np.full(50, -2000.0), np.full(50, 2000.0)])
  selector = resampling.Resampling()
  values = {"s": selector.priorities(interface.Shard("s", 100, scores), seed=0)}
  kept = by_shard.cut(values, budget.examples(60))["s"]
  assert kept[10:].tolist() == list(range(50, 100)) and len(kept) == 60
  for low in (1990.0, -2001.0):
    found, _ = drawing.reaching(
      selector, interface.Shard("s", 100, scores), seed=0, low=low
    )
    assert found.tolist() == np.flatnonzero(values["s"] >= low).tolist()


@pytest.mark.parametrize("least", [1e-300, 5e-324])
def test_densities_at_the_end_of_floats_are_weighed(least):
  densities = np.array([least, 1.0, 1e300, np.nan])
  shard = interface.Shard("s", 4, densities)
  selector = inverse_propensity.InversePropensity()
  priorities = selector.priorities(shard, seed=0)
  assert np.argsort(-priorities[:3]).tolist() == [0, 1, 2]
  for low in (-800.0, -5.0, 600.0, 800.0):
    found, _ = drawing.reaching(selector, shard, seed=0, low=low)
    assert found.tolist() == np.flatnonzero(priorities >= low).tolist()


def test_a_smaller_share_is_inside_a_larger_one_and_all_is_all():
  shard = _shard(2000)
  for selector in SELECTORS:
    values = {"s": selector.priorities(shard, seed=1)}
    tenth, fifth, whole = (
      set(by_shard.cut(values, budget.examples(k))["s"].tolist())
      for k in (200, 400, int((~np.isnan(values["s"])).sum()))
    )
    assert (len(tenth), len(fifth)) == (200, 400)
    assert tenth < fifth < whole


def test_resampling_is_inverse_propensity_of_its_inverse():
  density = np.random.default_rng(0).uniform(0.1, 1, 300)
  drawn = [
    selector.priorities(interface.Shard("s", 300, scores), seed=0)
    for selector, scores in (
      (inverse_propensity.InversePropensity(), density),
      (resampling.Resampling(), -np.log(density)),
    )
  ]
  np.testing.assert_allclose(*drawn)


@pytest.mark.parametrize("score", [np.inf, -np.inf])
def test_logarithms_of_no_weight_are_refused(score):
  shard = interface.Shard("s", 2, np.array([0.0, score]))
  for selector in SELECTORS[2:]:
    with pytest.raises(interface.SelectionError, match="position 1.*finite"):
      selector.log_weights(shard._replace(others=np.ones(2)))
