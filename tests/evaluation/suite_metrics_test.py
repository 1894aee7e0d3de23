# SPDX-License-Identifier: Apache-2.0
"""Metrics of suites against hand-made cases and T5's own implementations."""

import random

import pytest

from data_efficient.evaluation import suite_metrics

WORDS = "the a an cat, sat. on Mat dog! (B) 3,000 ran".split()


def _texts(count):
  chooser = random.Random(0)
  return [
    " ".join(chooser.choices(WORDS, k=chooser.randint(1, 6)))
    for _ in range(count)
  ]


def test_exact_match_and_f1_are_those_of_squad():
  assert suite_metrics.exact_match("The  cat.", ["a dog", "cat"]) == 1
  assert suite_metrics.exact_match("cats", ["cat"]) == 0
  # Two of three words found, two of two of the answer's.
  assert suite_metrics.token_f1("black cat sat", ["cat sat"]) == 0.8
  assert suite_metrics.token_f1("the", ["cat"]) == 0
  assert suite_metrics.token_f1("the", ["a"]) == 0
  # A word that is repeated is shared as often as both have it.
  assert suite_metrics.token_f1("cat cat", ["cat"]) == pytest.approx(2 / 3)


def test_squad_is_as_t5_has_it():
  reason = "t5 is not installed: run `make suites`"
  metrics = pytest.importorskip("t5.evaluation.metrics", reason=reason)
  found, first, second = _texts(120), _texts(121)[1:], _texts(122)[2:]
  answers = [list(pair) for pair in zip(first, second, strict=True)]
  theirs = metrics.squad(answers, found)
  for name, metric in (
    ("em", suite_metrics.exact_match),
    ("f1", suite_metrics.token_f1),
  ):
    ours = [metric(f, a) for f, a in zip(found, answers, strict=True)]
    assert 100 * sum(ours) / len(ours) == pytest.approx(theirs[name], abs=1e-9)
    assert 0 < theirs[name] < 100


def test_rouge_is_as_t5_has_it():
  reason = "t5 is not installed: run `make suites`"
  metrics = pytest.importorskip("t5.evaluation.metrics", reason=reason)
  found, answers = _texts(60), _texts(61)[1:]
  ours = suite_metrics.rouge(found, answers)
  theirs = metrics.rouge(answers, found, score_keys=list(ours))
  for name, values in ours.items():
    mean = 100 * sum(values) / len(values)
    # Theirs is the median of bootstrap means, drawn at random.
    assert mean == pytest.approx(theirs[name], abs=2.0)


def test_rouge_2_of_a_case_counted_by_hand():
  reason = "rouge-score is not installed: run `make suites`"
  pytest.importorskip("rouge_score", reason=reason)
  found = suite_metrics.rouge(["one two three"], ["two three four"])
  assert found["rouge2"] == [0.5]
  assert found["rouge1"] == pytest.approx([2 / 3])


@pytest.mark.parametrize(
  ("text", "number"),
  [
    ("so 3 and 4 make 7.", 7),
    ("#### 1,234 and 5", 1234),
    ("a -2.5", -2.5),
    ("none", None),
    ("5 #### none", None),
    ("costs $.75", 0.75),
  ],
)
def test_the_final_number(text, number):
  assert suite_metrics.final_number(text) == number


def test_numbers_and_options_match():
  assert suite_metrics.number_match("It is 72.0", ["48+24\n#### 72"]) == 1
  assert suite_metrics.number_match("no idea", ["#### 72"]) == 0
  assert suite_metrics.option_match("a", ["(A)"]) == 1
  assert suite_metrics.option_match("", ["(A)"]) == 0


def test_what_has_no_metric_is_refused():
  for call, message in (
    (lambda: suite_metrics.exact_match("x", []), "at least one"),
    (lambda: suite_metrics.token_f1("x", "y"), "at least one in a list"),
    (lambda: suite_metrics.number_match("1", ["x"]), "has no number"),
    (lambda: suite_metrics.rouge(["1"], []), "one answer for each"),
  ):
    with pytest.raises(suite_metrics.SuiteMetricError, match=message):
      call()
