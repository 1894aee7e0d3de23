# SPDX-License-Identifier: Apache-2.0
"""Metrics of responses; ROUGE is in tests/suites."""

import sys

import numpy as np
import pytest

from data_efficient.evaluation import response_metrics, suite_metrics


@pytest.mark.parametrize(
  ("response", "reference", "expected"),
  [
    # GSM8K: the final number.
    ("She has 3 + 4 = 7. #### 7", "3 + 4 = <<3+4=7>>7\n#### 7", 1),
    ("The answer is 7.00", "so\n#### 7", 1),
    ("7 of 10", "so\n#### 7", 0),
    ("seven", "so\n#### 7", 0),
    # A letter of choice.
    ("B", "B", 1),
    ("(B)", "B", 1),
    (" B. Paris", "B", 1),
    ("B) Paris, since A is in Italy", "(B)", 1),
    ("The answer is (B).", "B", 1),
    ("answer: b", "B", 0),
    ("A man asks, the answer is B", "B", 1),
    ("A: it is not B", "B", 0),
    ("Be it so", "B", 0),
    ("", "B", 0),
    # Text: SQuAD's normalisation.
    ("The  Chief of protocol.", "chief of Protocol", 1),
    ("chief", "chief of Protocol", 0),
    ("", "yes", 0),
  ],
)
def test_exact(response, reference, expected):
  (found,) = response_metrics.exact([response], [reference])
  assert found == expected


def test_figures_by_task_and_of_all():
  rng = np.random.default_rng(0)
  tasks = ["a"] * 30 + ["b"] * 10
  values = {"exact": np.array([1.0] * 30 + [0.0] * 10), "x": rng.random(40)}
  nats, tokens = rng.random(40) * 9, rng.integers(1, 9, 40).astype(float)
  nats[3] = np.nan
  losses = response_metrics.Losses(nats, tokens)
  found = response_metrics.figures(values, losses, tasks, resamples=500, seed=0)
  assert found["overall"]["records"] == 40
  assert found["overall"]["exact"]["value"] == 0.75
  assert found["tasks"]["a"]["exact"]["value"] == 1.0
  own = found["tasks"]["b"]["x"]
  assert own["value"] == pytest.approx(values["x"][30:].mean())
  # The interval of a mean, from its standard error.
  error = values["x"].std() / 40**0.5
  low, high = found["overall"]["x"]["interval"]
  assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)
  loss, there = found["overall"]["loss"], np.isfinite(nats)
  assert loss["records"] == 39
  assert loss["value"] == pytest.approx(nats[there].sum() / tokens[there].sum())
  assert loss["interval"][0] < loss["value"] < loss["interval"][1]
  nobody = response_metrics.Losses(np.full(40, np.nan), tokens)
  found = response_metrics.figures(values, nobody, tasks, resamples=50, seed=0)
  assert found["overall"]["loss"] == {
    **{"value": None, "interval": None, "records": 0}
  }


def test_what_cannot_be_measured_is_refused_beforehand(monkeypatch):
  for metrics in ([], ["exact", "bleu"]):
    with pytest.raises(response_metrics.ResponseMetricError, match="expected"):
      response_metrics.check(metrics)
  monkeypatch.setitem(sys.modules, "rouge_score", None)
  with pytest.raises(suite_metrics.SuiteMetricError, match="make suites"):
    response_metrics.check(["rouge1"])
  response_metrics.check(["exact", "loss", "similarity"])
