# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from data_efficient.evaluation import separation


def _by_pairs(high, low):
  pairs = [(h > x) + 0.5 * (h == x) for h in high for x in low]
  return np.mean(pairs)


def test_auc_is_the_share_of_pairs_in_order():
  generator = np.random.default_rng(0)
  high = generator.integers(0, 9, 40).astype(np.float32)
  low = generator.integers(0, 6, 30).astype(np.float32)
  found = separation.auc([high[:10], high[10:]], [low])
  assert found == pytest.approx(_by_pairs(high, low))
  assert separation.auc([low], [high]) == pytest.approx(1 - found)


def test_records_without_a_score_are_left_out():
  assert separation.auc([np.array([1.0, np.nan])], [np.array([0.0])]) == 1.0
  assert separation.auc([np.array([np.nan])], [np.array([0.0])]) is None
