# SPDX-License-Identifier: Apache-2.0
"""Metrics of questions from files, against T5's and by hand."""

import random

import pytest

from data_efficient.evaluation import suite_metrics

pytest.importorskip("rouge_score", reason="run `make suites`")
metrics = pytest.importorskip(
  "t5.evaluation.metrics", reason="t5 is not installed: run `make suites`"
)
WORDS = "the a an cat, sat. on Mat dog! (B) 3,000 ran".split()


def _texts(count):
  chooser = random.Random(0)
  return [
    " ".join(chooser.choices(WORDS, k=chooser.randint(1, 6)))
    for _ in range(count)
  ]


def test_squad_is_as_t5_has_it():
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


def test_rouge_2_of_a_case_counted_by_hand():
  found = suite_metrics.rouge(["one two three"], ["two three four"])
  assert found["rouge2"] == [0.5]
  assert found["rouge1"] == pytest.approx([2 / 3])
