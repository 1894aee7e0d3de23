# SPDX-License-Identifier: Apache-2.0
"""Lengths of instructions, counted by hand."""

import numpy as np
import pytest

from data_efficient.scorers import length
from data_efficient.scorers.templates import Instruction
from tests.scorers.simple_scorers_test import Words

ROWS = [
  Instruction("add two", "it is four"),
  Instruction("say nothing", "  "),
  Instruction("", "one"),
]


@pytest.mark.parametrize(
  ("counted", "tokens"),
  [("response", [3, 0, 1]), ("prompt_and_response", [5, 2, 1])],
)
def test_tokens_are_counted(counted, tokens):
  scorer = length.Length(tokenizer=Words(), counted=counted)
  scores = scorer.score(ROWS)
  assert scores.statuses == [
    *("scored", "unscorable(empty response)", "scored")
  ]
  np.testing.assert_array_equal(scores.columns["score"], np.float32(tokens))
  assert scorer.identity() == {
    "name": "length",
    "vocabulary": "abc123",
    "counted": counted,
  }


def test_what_cannot_be_counted():
  with pytest.raises(ValueError, match="words"):
    length.Length(tokenizer=Words(), counted="words")
