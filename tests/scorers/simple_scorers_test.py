# SPDX-License-Identifier: Apache-2.0
"""Uniform and TokenCounts: two scorers that need no preparation."""

import numpy as np

from data_efficient.scorers import token_counts, uniform


class Words:
  fingerprint = "abc123"

  def encode(self, text: str) -> list[int]:
    return [1] * len(text.split())


def test_uniform_scores_one():
  scores = uniform.Uniform().score(["a", "", "c"])
  assert scores.statuses == ["scored"] * 3
  np.testing.assert_array_equal(scores.columns["score"], np.float32([1, 1, 1]))
  assert uniform.Uniform().identity() == {"name": "uniform"}


def test_tokens_are_counted():
  scorer = token_counts.TokenCounts(tokenizer=Words())
  scores = scorer.score(["one two", "", "three"])
  assert scores.statuses == ["scored"] * 3
  np.testing.assert_array_equal(scores.columns["score"], np.float32([2, 0, 1]))


def test_the_vocabulary_is_a_part_of_the_identity():
  scorer = token_counts.TokenCounts(tokenizer=Words())
  assert scorer.identity() == {
    "name": "token_counts",
    "vocabulary": "abc123",
  }
