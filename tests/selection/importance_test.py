# SPDX-License-Identifier: Apache-2.0
"""Importance weights estimate what the sampler left out."""

import numpy as np
import pytest

from data_efficient.kernels import sampling
from data_efficient.selection import budget, importance, inverse_propensity
from tests.selection import by_shard

LOG_WEIGHTS = np.log(np.array([1, 2, 0.5, 4, 0.7, 3, 1, 6]))
VALUES = np.exp(LOG_WEIGHTS) + 0.5
TOKENS = np.array([5, 1, 3, 9, 2, 30, 4, 1])
BUDGETS = [budget.examples(3), budget.tokens(20)]


def _sample(seed, amount):
  keys = sampling.gumbels(seed=seed, stream=1, count=len(LOG_WEIGHTS))
  flat = LOG_WEIGHTS + keys
  cut = budget.cut(by_shard.ranked({"s": flat}, amount, {"s": TOKENS}), amount)
  kept = np.flatnonzero(cut.keeps(flat, np.arange(len(flat))))
  amounts = TOKENS if amount.kind in budget.OF_TOKENS else np.ones(8, int)
  return flat, cut.thresholds(amounts[kept]), kept


def _slow_threshold(priorities, record, amount):
  """The key of the record at which all others meet the budget."""
  wanted, spent = amount.amount, 0
  for other in np.argsort(-priorities):
    if other != record:
      spent += TOKENS[other] if amount.kind in budget.OF_TOKENS else 1
      if spent >= wanted:
        return priorities[other]
  return -np.inf


@pytest.mark.parametrize("amount", BUDGETS)
def test_a_threshold_is_what_the_others_leave_open(amount):
  for seed in range(50):
    flat, found, kept = _sample(seed, amount)
    slow = [_slow_threshold(flat, record, amount) for record in range(8)]
    assert found.tolist() == [slow[record] for record in kept]
    assert [r for r in range(8) if flat[r] > slow[r]] == kept.tolist()


@pytest.mark.parametrize("amount", BUDGETS)
def test_sums_over_all_records_are_estimated_without_bias(amount):
  estimates, naive = [], []
  for seed in range(4000):
    _, thresholds, kept = _sample(seed, amount)
    likely = sampling.inclusion_probabilities(LOG_WEIGHTS[kept], thresholds)
    estimates.append(np.sum(VALUES[kept] / likely))
    naive.append(VALUES[kept].mean() * len(VALUES))
  error = np.std(estimates) / np.sqrt(len(estimates))
  assert error < VALUES.sum() / 20
  assert abs(np.mean(estimates) - VALUES.sum()) < 4 * error
  # Without weights the sample is biased, by far more than that.
  assert abs(np.mean(naive) - VALUES.sum()) > 10 * error


def _weights(selector, scores, amount):
  shards = {shard: len(values) for shard, values in scores.items()}
  priorities = by_shard.priorities(selector, scores, shards)
  log_weights = by_shard.log_weights(selector, scores, shards)
  kept = by_shard.cut(priorities, amount)
  cut = budget.cut(by_shard.ranked(priorities, amount), amount)
  return kept, {
    shard: importance.weights(cut, log_weights[shard][rows], None)
    for shard, rows in kept.items()
  }


def test_common_records_weigh_more():
  generator = np.random.default_rng(0)
  scores = {name: np.exp(generator.normal(size=200)) for name in "ab"}
  scores["b"][7] = np.nan
  selector = inverse_propensity.InversePropensity()
  kept, found = _weights(selector, scores, budget.examples(90))
  flat = np.concatenate([found["a"], found["b"]])
  density = np.concatenate([scores[s][kept[s]] for s in "ab"])
  assert flat.shape == density.shape and flat.min() > 0
  # One over the probability of a record rises with its density.
  assert np.all(np.diff(flat[np.argsort(density)]) >= 0)


def test_what_is_kept_anyway_weighs_one():
  scores = {"s": np.random.default_rng(0).random(20) + 0.1}
  selector = inverse_propensity.InversePropensity()
  _, found = _weights(selector, scores, budget.examples(20))
  assert found["s"].tolist() == [1.0] * 20


def test_unknown_weights_are_refused():
  with pytest.raises(ValueError, match="'importanc' is not a valid Weights"):
    importance.Weights("importanc")
