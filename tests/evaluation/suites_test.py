# SPDX-License-Identifier: Apache-2.0
"""Macro averages, their intervals, and the choice of a checkpoint."""

import numpy as np
import pytest
import scipy.stats

from data_efficient.evaluation import suites

SAMPLING = {"resamples": 400, "seed": 0}


@pytest.mark.parametrize(
  ("right", "questions"), [(0, 5), (3, 10), (99, 100), (7, 7)]
)
def test_wilson_is_as_scipy_has_it(right, questions):
  theirs = scipy.stats.binomtest(right, questions).proportion_ci(
    method="wilson"
  )
  assert suites.wilson(right, questions) == pytest.approx(theirs, abs=1e-12)


def _rows(answers):
  """Every task a row of its own."""
  return {
    name: [
      [suites.mean_of(v, **SAMPLING | {"seed": suites.seed_of(0, name, task)})]
      for task, v in tasks.items()
    ]
    for name, tasks in answers.items()
  }


def test_macro_averages_weigh_tasks_and_suites_not_questions():
  answers = {
    "MMLU": {"a": [1.0] * 90, "b": [0.0] * 10},
    "BBH": {"a": [1.0]},
    "GSM8K": {"a": [0.0] * 3},
    "SVAMP": {"a": [1.0] * 3},
    "ARC": {"a": [0.0, 1.0]},
    "SQuAD": {"a": [0.25]},
  }
  categories = {
    **{"MMLU": "MMLU", "BBH": "BBH", "ARC": "QA", "SQuAD": "SQuAD"},
    **{"GSM8K": "Reasoning", "SVAMP": "Reasoning"},
  }
  found = suites.averages(_rows(answers), categories)
  values = {c: row["value"] for c, row in found["categories"].items()}
  assert values == {
    **{"MMLU": 0.5, "BBH": 1, "Reasoning": 0.5, "QA": 0.5, "SQuAD": 0.25}
  }
  # SQuAD is no part of the paper's Average.
  assert found["average"]["value"] == (0.5 + 1 + 0.5 + 0.5) / 4
  assert found["of_all"]["value"] == pytest.approx(2.75 / 5)
  assert found["missing"] == []
  less = {name: answers[name] for name in ("MMLU", "BBH")}
  found = suites.averages(_rows(less), categories)
  assert found["average"]["value"] is None
  assert found["missing"] == ["Reasoning", "QA"]


def test_tasks_of_a_row_count_as_one():
  one, half, none = (
    suites.mean_of(v, **SAMPLING) for v in ([1.0], [1.0, 0.0], [0.0])
  )
  found = suites.averages({"x": [[one, half], [none]]}, {"x": "x"})
  assert found["suites"]["x"]["value"] == 0.375


def test_the_interval_of_an_average_is_that_of_its_tasks():
  chooser = np.random.default_rng(0)
  tasks = {str(n): chooser.random(50).round().tolist() for n in range(4)}
  figures = [
    suites.mean_of(v, resamples=4000, seed=suites.seed_of(0, "x", name))
    for name, v in tasks.items()
  ]
  found = suites.averages({"x": [[each] for each in figures]}, {"x": "x"})
  low, high = found["suites"]["x"]["interval"]
  variances = [np.var(each) / len(each) for each in tasks.values()]
  width = 2 * 1.96 * np.sqrt(sum(variances)) / 4
  assert high - low == pytest.approx(width, rel=0.1)
  assert low < found["suites"]["x"]["value"] < high


def test_means_of_questions():
  found = suites.mean_of([1.0, 0.0, 0.0], **SAMPLING)
  assert found.row() == {"value": 1 / 3, "interval": suites.wilson(1, 3)}
  found = suites.mean_of([1.0, 0.5, 0.0], **SAMPLING)
  assert found.value == 0.5
  assert found.interval[0] < 0.5 < found.interval[1]


def test_what_would_not_be_honest_is_refused():
  suites.check_splits(chosen_on="validation", reported_on="test")
  for call, message in (
    (
      lambda: suites.check_splits(chosen_on="test", reported_on="test"),
      "chosen on 'test', which is reported",
    ),
    (
      lambda: suites.check_splits(chosen_on="exemplars", reported_on="test"),
      "'exemplars' is not one of",
    ),
    (lambda: suites.choose({"a": float("nan")}), "no checkpoint can be"),
    (lambda: suites.choose({}), "there is none"),
    (
      lambda: suites.mean_of([], **SAMPLING),
      "a task without questions",
    ),
    (lambda: suites.averages({"x": []}, {"x": "x"}), "'x' has no task"),
  ):
    with pytest.raises(suites.SuiteError, match=message):
      call()
  assert suites.choose({"a": 0.1, "b": 0.3, "c": 0.3}) == "b"
