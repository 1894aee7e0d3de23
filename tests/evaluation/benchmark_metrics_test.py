# SPDX-License-Identifier: Apache-2.0
"""Figures of metrics over all examples; T5's own are in tests/suites."""

import numpy as np
import pytest
import sklearn.metrics

from data_efficient.evaluation import benchmark_metrics, suite_metrics

SAMPLING = {"resamples": 300, "seed": 0}


def _accuracy(targets, predictions):
  return {
    "accuracy": 100 * sklearn.metrics.accuracy_score(targets, predictions)
  }


def _f1(targets, predictions):
  found = sklearn.metrics.f1_score(targets, predictions, zero_division=0)
  return {"f1": 100 * found}


def _all_right(targets, predictions):
  """Of each group, in the manner of T5's for MultiRC."""
  right = {}
  for target, prediction in zip(targets, predictions, strict=True):
    same = target["value"] == prediction["value"]
    right[target["group"]] = right.get(target["group"], True) and same
  return {"exact_match": 100 * np.mean(list(right.values()))}


def test_means_and_resampled_metrics_have_the_same_kind_of_interval():
  generator = np.random.default_rng(0)
  targets = generator.integers(2, size=150).tolist()
  predictions = [t if generator.random() < 0.8 else 1 - t for t in targets]

  def resampled(targets, predictions):
    return {"another name": _accuracy(targets, predictions)["accuracy"]}

  found = benchmark_metrics.figures(
    [_accuracy, resampled, _f1], targets, predictions, **SAMPLING
  )
  whole = sklearn.metrics.f1_score(targets, predictions)
  assert found["f1"].value == pytest.approx(whole)
  first, second = found["accuracy"], found["another name"]
  assert first.value == second.value
  assert np.std(first.drawn) == pytest.approx(np.std(second.drawn), rel=0.15)
  low, high = found["f1"].interval
  assert low < whole < high < 1


def test_a_question_is_drawn_with_all_its_answers():
  # Ten questions of three answers each, half of the questions wholly wrong.
  targets = [{"value": 1, "group": n // 3} for n in range(30)]
  predictions = [{"value": n // 3 % 2} for n in range(30)]
  found = benchmark_metrics.figures(
    [_all_right], targets, predictions, **SAMPLING
  )["exact_match"]
  assert found.value == 0.5
  # Of ten draws, not of thirty.
  assert np.std(found.drawn) == pytest.approx((0.25 / 10) ** 0.5, rel=0.15)


def test_what_has_no_value_is_0_and_nothing_is_refused():
  nan = benchmark_metrics.figures(
    [lambda t, p: {"pearson_corrcoef": np.nan}], [1, 2], [0, 0], **SAMPLING
  )
  assert nan["pearson_corrcoef"].row() == {"value": 0.0, "interval": [0, 0]}
  for metrics, targets in (([], [1]), ([_f1], [])):
    with pytest.raises(suite_metrics.SuiteMetricError, match="at least one of"):
      benchmark_metrics.figures(metrics, targets, targets, **SAMPLING)
