# SPDX-License-Identifier: Apache-2.0
"""Answers that begin differently stand side by side in one row."""

import numpy as np
import pytest

from data_efficient.scorers import answers
from tests.scorers import asked

ANSWERS = ((60,), (61, 62), (61, 62, 57), (50, 51))


def test_equal_beginnings_stand_once():
  row = answers.row(ANSWERS)
  assert row.inputs == (0, 50, 0, 61, 62)
  assert row.segments == (1, 1, 2, 2, 2)
  assert dict(row.answers) == {
    (60,): (0,),
    (50, 51): (0, 1),
    (61, 62): (2, 3),
    (61, 62, 57): (2, 3, 4),
  }


def test_answers_do_not_see_one_another():
  judge, prompt = asked.judge(), [5, 9, 7, 1]
  found = answers.log_probabilities(
    judge.parameters,
    np.array([prompt], np.int32),
    network=judge.network,
    answers=ANSWERS,
  )
  for pieces, value in zip(ANSWERS, np.asarray(found)[0], strict=True):
    slow = asked.slowly(judge, prompt, pieces)
    assert value == pytest.approx(slow, abs=1e-5), pieces
