# SPDX-License-Identifier: Apache-2.0
"""SelectIT's formulas on a case worked by hand, and on their edges."""

import numpy as np
import pytest

from data_efficient.kernels import self_reflection
from data_efficient.kernels.self_reflection import Normalisation

# Probabilities of the ratings 1 to 5, over the whole vocabulary, behind two
# rating prompts; 0.2 and 0.4 of each row's probability are on no rating.
ROWS = np.array(
  [[0.08, 0.08, 0.16, 0.40, 0.08], [0.03, 0.03, 0.06, 0.12, 0.36]]
)
# P' = P / 0.8 and P / 0.6: (.1 .1 .2 .5 .1) and (.05 .05 .1 .2 .6).
# b = 4 and 5. Distances from P'(b): .4 .4 .3 0 .4 = 1.5, over K - 1 = 4: .375;
# .55 .55 .5 .4 0 = 2, over 4: .5. So S_t = 4 * .375 = 1.5 and 5 * .5 = 2.5.
TOKENS = [1.5, 2.5]
# Their mean is 2, their standard deviation .5; with alpha = 0.2 the sentence's
# score is 2 / (1 + .2 * .5) = 2 / 1.1.
SENTENCE = 2 / 1.1


def test_the_case_worked_by_hand():
  found = self_reflection.over_scale(np.log(ROWS), Normalisation.SHARE)
  np.testing.assert_allclose(
    found, [[0.1, 0.1, 0.2, 0.5, 0.1], [0.05, 0.05, 0.1, 0.2, 0.6]]
  )
  np.testing.assert_array_equal(self_reflection.base(found), [4, 5])
  tokens = self_reflection.token_level(found)
  np.testing.assert_allclose(tokens, TOKENS)
  sentence = self_reflection.sentence_level(tokens, alpha=0.2)
  assert sentence == pytest.approx(SENTENCE)
  # A second model of thrice the parameters says 1: (2 / 1.1 + 3) / 4.
  both = self_reflection.model_level(
    np.array([float(sentence), 1.0]), np.array([10, 30])
  )
  assert both == pytest.approx((SENTENCE + 3) / 4)


def test_the_softmax_of_shares_never_says_much():
  sure = np.log(np.array([1e-9, 1e-9, 1e-9, 1e-9, 1.0]))
  found = self_reflection.over_scale(sure, Normalisation.SOFTMAX_OF_SHARES)
  # e / (e + 4), and four times 1 / (e + 4).
  assert found[4] == pytest.approx(np.e / (np.e + 4), abs=1e-6)
  assert found.sum() == pytest.approx(1)
  assert self_reflection.token_level(found) == pytest.approx(
    5 * (np.e - 1) / (np.e + 4), abs=1e-6
  )


def test_a_tie_goes_to_the_lower_rating_and_is_worth_nothing_if_all_tie():
  flat = self_reflection.over_scale(np.full(5, -7.0), Normalisation.SHARE)
  assert self_reflection.base(flat) == 1
  assert self_reflection.token_level(flat) == 0
  assert self_reflection.base(np.array([0.1, 0.4, 0.1, 0.4])) == 2


def test_doubt_lowers_the_score():
  agreed = self_reflection.sentence_level(np.array([2.0, 2.0]), alpha=0.2)
  apart = self_reflection.sentence_level(np.array([1.0, 3.0]), alpha=0.2)
  assert agreed == 2 and apart == pytest.approx(2 / 1.2)
  assert self_reflection.sentence_level(np.array([1.0, 3.0]), alpha=0.0) == 2


def test_log_probabilities_may_be_very_low():
  found = self_reflection.over_scale(
    np.log(ROWS[0]) - 900.0, Normalisation.SHARE
  )
  np.testing.assert_allclose(found, ROWS[0] / 0.8)
