# SPDX-License-Identifier: Apache-2.0
"""Metrics of suites against hand-made cases; beside T5's: tests/suites."""

import pytest

from data_efficient.evaluation import suite_metrics


def test_exact_match_and_f1_are_those_of_squad():
  assert suite_metrics.exact_match("The  cat.", ["a dog", "cat"]) == 1
  assert suite_metrics.exact_match("cats", ["cat"]) == 0
  # Two of three words found, two of two of the answer's.
  assert suite_metrics.token_f1("black cat sat", ["cat sat"]) == 0.8
  assert suite_metrics.token_f1("the", ["cat"]) == 0
  assert suite_metrics.token_f1("the", ["a"]) == 0
  # A word that is repeated is shared as often as both have it.
  assert suite_metrics.token_f1("cat cat", ["cat"]) == pytest.approx(2 / 3)


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
