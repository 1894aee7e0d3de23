# SPDX-License-Identifier: Apache-2.0
"""ROUGE of responses against a count of our own."""

import functools
import random
import re

import pytest

from data_efficient.evaluation import response_metrics

pytest.importorskip("rouge_score", reason="run `make suites`")
WORDS = "the a cat, sat. on Mat dog! 3,000 ran".split()


def _words(text):
  return re.findall(r"[a-z0-9]+", text.lower())


def _longest(first, second):
  """Words of the longest common subsequence, by its recursion."""

  @functools.lru_cache
  def length(i, j):
    if not i or not j:
      return 0
    if first[i - 1] == second[j - 1]:
      return length(i - 1, j - 1) + 1
    return max(length(i - 1, j), length(i, j - 1))

  return length(len(first), len(second))


def _f1(shared, first, second):
  return 2 * shared / (len(first) + len(second)) if shared else 0.0


def test_rouge_1_and_l_are_counted_by_hand():
  chooser = random.Random(0)

  def text():
    return " ".join(chooser.choices(WORDS, k=chooser.randint(0, 9)))

  responses, references = ([text() for _ in range(60)] for _ in range(2))
  found = response_metrics.rouge(responses, references)
  assert set(found) == set(response_metrics.ROUGE)
  for n, (one, other) in enumerate(zip(responses, references, strict=True)):
    first, second = tuple(_words(one)), tuple(_words(other))
    shared = sum(
      min(first.count(word), second.count(word)) for word in set(first)
    )
    assert found["rouge1"][n] == pytest.approx(_f1(shared, first, second))
    longest = _f1(_longest(first, second), first, second)
    assert found["rougeL"][n] == pytest.approx(longest)
  assert 0 < found["rougeL"].mean() < found["rouge1"].mean() < 1
  assert response_metrics.check(["rouge1", "rougeL"]) is None
