# SPDX-License-Identifier: Apache-2.0
"""Figures of an audit, by hand."""

import numpy as np
import pytest

from data_efficient.evaluation import steering

NAN = np.nan
UNDEFENDED = steering.Answers(
  np.array([-1.0, -2.0]),
  np.array([[0.0, -3.0], [-1.5, -1.0], [-1.0, NAN]]),
  {"set": np.array([3.0, 1.0, 2.0, 0.0])},
)
DEFENDED = steering.Answers(
  np.array([-1.0, -2.0]),
  np.array([[-0.5, -2.5], [-1.0, -1.5], [-1.0, NAN]]),
  {"set": np.array([1.0, 3.0, 2.0, 0.0])},
)
GOOD = np.array([True, False, True, False])


def _figures(answers):
  return steering.figures(
    answers,
    UNDEFENDED,
    payloads=["a", "b", "a"],
    places=["head", "head", "tail"],
    labels={"set": GOOD},
    resamples=200,
    seed=0,
  )


def test_rises_by_hand():
  bare, found = _figures(UNDEFENDED), _figures(DEFENDED)
  # Rises: [[1, -1], [-0.5, 1], [0, -]] and [[0.5, -0.5], [0, 0.5], [0, -]].
  assert bare["all"]["n"] == found["all"]["n"] == 5
  assert bare["all"]["median"] == 0 and bare["all"]["rises"] == 0.4
  assert bare["where_it_rose"]["median"] == 1
  assert found["where_it_rose"]["median"] == 0.5
  assert found["best_attack"]["quartiles"] == [0.5, 0.5]
  assert bare["payloads"]["b"]["median"] == 0.25
  assert bare["places"]["tail"] == {
    "n": 1,
    "median": 0,
    "quartiles": [0, 0],
    "rises": 0,
  }


def test_the_change_of_auc_is_of_the_same_texts():
  bare, found = _figures(UNDEFENDED)["auc"]["set"], _figures(DEFENDED)["auc"]
  assert bare["auc"] == 1 and bare["change_interval"] == [0, 0]
  assert found["set"]["auc"] == 0.5 and found["set"]["change"] == -0.5
  low, high = found["set"]["interval"]
  assert low < 0.5 < high


def test_the_interval_covers_what_the_theory_says():
  generator = np.random.default_rng(0)
  good = np.arange(400) < 200
  scores = generator.normal(size=400) + good
  found = steering.auc(scores, scores, good, resamples=400, seed=0)
  # Hanley and McNeil's standard error for an AUC of 0.76 with 200 each.
  width = found["interval"][1] - found["interval"][0]
  assert width == pytest.approx(2 * 1.96 * 0.0235, rel=0.2)


def test_nothing_scored_is_no_figure():
  assert steering.spread(np.array([NAN])) == {"n": 0}
