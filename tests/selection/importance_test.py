# SPDX-License-Identifier: Apache-2.0
"""Importance weights estimate what the sampler left out."""

import numpy as np
import pytest

from data_efficient.kernels import sampling
from data_efficient.selection import (
  budget,
  full,
  importance,
  inverse_propensity,
  random,
  top,
)

LOG_WEIGHTS = np.log(np.array([1, 2, 0.5, 4, 0.7, 3, 1, 6]))
VALUES = np.exp(LOG_WEIGHTS) + 0.5
TOKENS = np.array([5, 1, 3, 9, 2, 30, 4, 1])
BUDGETS = [budget.examples(3), budget.tokens(20)]


def _sample(seed, amount):
  keys = sampling.gumbels(seed=seed, stream=1, count=len(LOG_WEIGHTS))
  priorities, tokens = {"s": LOG_WEIGHTS + keys}, {"s": TOKENS}
  kept = budget.cut(priorities, amount, tokens)["s"]
  return priorities, tokens, kept


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
    priorities, tokens, kept = _sample(seed, amount)
    found = budget.thresholds(priorities, amount, tokens)["s"]
    flat = priorities["s"]
    slow = [_slow_threshold(flat, record, amount) for record in range(8)]
    assert found.tolist() == [slow[record] for record in kept]
    assert [r for r in range(8) if flat[r] > slow[r]] == kept.tolist()


@pytest.mark.parametrize("amount", BUDGETS)
def test_sums_over_all_records_are_estimated_without_bias(amount):
  estimates, naive = [], []
  for seed in range(4000):
    priorities, tokens, kept = _sample(seed, amount)
    thresholds = budget.thresholds(priorities, amount, tokens)["s"]
    likely = sampling.inclusion_probabilities(LOG_WEIGHTS[kept], thresholds)
    estimates.append(np.sum(VALUES[kept] / likely))
    naive.append(VALUES[kept].mean() * len(VALUES))
  error = np.std(estimates) / np.sqrt(len(estimates))
  assert error < VALUES.sum() / 20
  assert abs(np.mean(estimates) - VALUES.sum()) < 4 * error
  # Without weights the sample is biased, by far more than that.
  assert abs(np.mean(naive) - VALUES.sum()) > 10 * error


def _weights(selector, scores, amount, seed=0):
  shards = {shard: len(values) for shard, values in scores.items()}
  priorities = selector.priorities(scores, shards=shards, seed=seed)
  log_weights = selector.log_weights(scores, shards=shards)
  kept = budget.cut(priorities, amount)
  return kept, importance.weights(priorities, log_weights, amount)


def test_common_records_weigh_more_and_the_mean_is_one():
  generator = np.random.default_rng(0)
  scores = {name: np.exp(generator.normal(size=200)) for name in "ab"}
  scores["b"][7] = np.nan
  selector = inverse_propensity.InversePropensity()
  kept, found = _weights(selector, scores, budget.examples(90))
  flat = np.concatenate([found["a"], found["b"]])
  density = np.concatenate([scores[s][kept[s]] for s in "ab"])
  assert flat.shape == density.shape and flat.min() > 0
  assert flat.mean() == pytest.approx(1)
  # One over the probability of a record rises with its density.
  assert np.all(np.diff(flat[np.argsort(density)]) >= 0)


@pytest.mark.parametrize(
  "selector", [random.Random(), full.Full(), top.Top(highest=True)]
)
def test_where_no_record_is_likelier_all_weigh_one(selector):
  scores = {"s": np.random.default_rng(0).random(100)}
  _, found = _weights(selector, scores, budget.examples(37))
  assert found["s"].tolist() == [1.0] * 37


def test_what_is_kept_anyway_weighs_one():
  scores = {"s": np.random.default_rng(0).random(20) + 0.1}
  selector = inverse_propensity.InversePropensity()
  _, found = _weights(selector, scores, budget.examples(20))
  assert found["s"].tolist() == [1.0] * 20


def test_unknown_weights_are_refused():
  with pytest.raises(ValueError, match="'importanc' is not a valid Weights"):
    importance.Weights("importanc")
