# SPDX-License-Identifier: Apache-2.0
"""What each selector prefers, and how often."""

import itertools

import numpy as np
import pytest
from scipy import stats

from data_efficient.selection import (
  budget,
  full,
  interface,
  inverse_propensity,
  random,
  top,
)
from tests.selection import by_shard

SHARDS = {"b": 700, "a": 300}
SELECTORS = [
  random.Random(),
  inverse_propensity.InversePropensity(),
  top.Top(highest=True),
  top.Top(highest=False),
  full.Full(),
]


def scores(shards, seed=0):
  generator = np.random.default_rng(seed)
  return {
    shard: generator.uniform(0.1, 1, count).astype(np.float32)
    for shard, count in shards.items()
  }


def keep(selector, given, shards, amount, seed=0):
  priorities = by_shard.priorities(selector, given, shards, seed)
  return by_shard.cut(priorities, budget.examples(amount))


def identities(kept):
  return {(shard, int(p)) for shard in kept for p in kept[shard]}


def _set_probabilities(weights, k):
  """Of each set of k, by summing over the orders in which it is drawn."""
  found = {}
  for order in itertools.permutations(range(len(weights)), k):
    left, probability = sum(weights), 1.0
    for index in order:
      probability *= weights[index] / left
      left -= weights[index]
    key = frozenset(order)
    found[key] = found.get(key, 0) + probability
  return found


@pytest.mark.parametrize(
  "selector", [inverse_propensity.InversePropensity(), random.Random()]
)
def test_samples_are_drawn_with_the_probabilities_of_theory(selector):
  density = np.array([0.1, 0.2, 0.3, 0.9, 1.0])
  sampled = isinstance(selector, inverse_propensity.InversePropensity)
  weights = 1 / density if sampled else np.ones(5)
  expected = _set_probabilities(weights, 2)
  counts = dict.fromkeys(expected, 0)
  for seed in range(2000):
    kept = keep(selector, {"s": density}, {"s": 5}, 2, seed)
    counts[frozenset(kept["s"].tolist())] += 1
  result = stats.chisquare(
    list(counts.values()), 2000 * np.array(list(expected.values()))
  )
  assert result.pvalue > 1e-3


def test_dense_records_are_kept_less_often():
  # Sampling with S/ΣS, as the paper's Algorithm 2 prints it, fails here.
  density = np.repeat([0.9, 0.1], 500)
  selector = inverse_propensity.InversePropensity()
  kept = keep(selector, {"s": density}, {"s": 1000}, 200)["s"]
  assert np.mean(kept >= 500) > 0.8


@pytest.mark.parametrize("selector", SELECTORS)
def test_smaller_budgets_are_inside_larger_ones(selector):
  given = scores(SHARDS)
  tenth, fifth = (keep(selector, given, SHARDS, k) for k in (100, 200))
  assert identities(tenth) < identities(fifth)


def test_a_constant_density_is_random_sampling():
  constant = {shard: np.full(n, 0.3) for shard, n in SHARDS.items()}
  weighted = keep(inverse_propensity.InversePropensity(), constant, SHARDS, 50)
  uniform = keep(random.Random(), None, SHARDS, 50)
  assert identities(weighted) == identities(uniform)


def test_seeds_and_shards_have_keys_of_their_own():
  shards = {"x": 9, "y": 9}
  first, second = (
    by_shard.priorities(random.Random(), None, shards, seed) for seed in (0, 1)
  )
  keys = np.concatenate([*first.values(), *second.values()])
  assert len(np.unique(keys)) == 36


@pytest.mark.parametrize("highest", [True, False])
def test_top_keeps_the_best(highest):
  given = scores(SHARDS)
  kept = keep(top.Top(highest=highest), given, SHARDS, 60)
  flat = np.concatenate(list(given.values()))
  best = np.sort(flat)[::-1][:60] if highest else np.sort(flat)[:60]
  found = np.concatenate([given[s][kept[s]] for s in SHARDS])
  np.testing.assert_array_equal(np.sort(found), np.sort(best))


def test_full_keeps_all_without_scores():
  kept = keep(full.Full(), None, SHARDS, 1000)
  assert {s: len(kept[s]) for s in kept} == SHARDS


@pytest.mark.parametrize("selector", SELECTORS[:-1])
def test_unscorable_records_are_never_kept(selector):
  given = scores({"s": 10})
  given["s"][[2, 7]] = np.nan
  kept = keep(selector, given, {"s": 10}, 8)["s"]
  assert kept.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]


@pytest.mark.parametrize("selector", SELECTORS[1:4])
def test_missing_scores_are_refused(selector):
  with pytest.raises(interface.SelectionError, match="needs scores"):
    selector.priorities(interface.Shard("a", 300), seed=0)


def test_scores_of_another_corpus_are_refused():
  shard = interface.Shard("a", 300, np.ones(1))
  message = "1 scores for the 300 records of shard 'a'"
  with pytest.raises(interface.SelectionError, match=message):
    top.Top(highest=True).priorities(shard, seed=0)


def test_log_probabilities_are_no_densities():
  with pytest.raises(
    interface.SelectionError, match="shard 's', position 1: density -2.0"
  ):
    inverse_propensity.InversePropensity().priorities(
      interface.Shard("s", 2, np.array([0.5, -2.0])), seed=0
    )


def test_a_negative_seed_is_refused():
  with pytest.raises(interface.SelectionError, match="the seed must be"):
    random.Random().priorities(interface.Shard("a", 9), seed=-1)
