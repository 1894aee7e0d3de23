# SPDX-License-Identifier: Apache-2.0
"""Agreement against pairs and sets counted one by one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from data_efficient.evaluation import agreement


def _tau_b(first, second):
  concordant = ties_first = ties_second = 0
  pairs = list(itertools.combinations(range(len(first)), 2))
  for i, j in pairs:
    signs = np.sign(first[i] - first[j]), np.sign(second[i] - second[j])
    concordant += signs[0] * signs[1]
    ties_first += signs[0] == 0
    ties_second += signs[1] == 0
  total = len(pairs)
  return concordant / np.sqrt((total - ties_first) * (total - ties_second))


def test_every_pair_by_hand():
  generator = np.random.default_rng(0)
  scores = {
    name: generator.integers(0, 12, 40).astype(np.float32) for name in "abc"
  }
  scores["b"][3] = np.nan
  found = agreement.compare(scores, [0.1, 0.5])
  assert found["records"] == 39
  kept = {name: np.delete(values, 3) for name, values in scores.items()}
  assert len(found["pairs"]) == 3
  for pair in found["pairs"]:
    first, second = kept[pair["first"]], kept[pair["second"]]
    assert pair["kendall"] == pytest.approx(_tau_b(first, second))
    for fraction, shared in pair["overlap"].items():
      count = round(float(fraction) * 39)
      tops = [
        set(sorted(range(39), key=lambda row: (-values[row], row))[:count])
        for values in (first, second)
      ]
      assert shared == pytest.approx(len(tops[0] & tops[1]) / count)


def test_a_constant_score_has_no_tau():
  scores = {"a": np.arange(4.0), "b": np.ones(4)}
  assert agreement.compare(scores, [0.5])["pairs"][0]["kendall"] is None


@pytest.mark.parametrize(
  "scores, fractions, message",
  [
    ({"a": np.ones(3)}, [0.5], "at least two"),
    ({"a": np.ones(3), "b": np.ones(3)}, [1.0], "between 0 and 1"),
    ({"a": np.ones(3), "b": np.full(3, np.nan)}, [0.5], "0 records have"),
  ],
)
def test_nothing_to_compare(scores, fractions, message):
  with pytest.raises(ValueError, match=message):
    agreement.compare(scores, fractions)


def test_the_matrix_against_every_pair_and_scipy():
  generator = np.random.default_rng(1)
  scores = {
    name: generator.integers(0, 12, 40).astype(np.float32) for name in "abc"
  }
  scores["b"][3] = scores["c"][7] = np.nan
  found = agreement.matrix(scores)
  assert found["names"] == ["a", "b", "c"]
  assert (found["records"], found["of"]) == (40, 40)
  for i, first in enumerate("abc"):
    for j, second in enumerate("abc"):
      # Records that a third scorer has no score of count.
      both = ~(np.isnan(scores[first]) | np.isnan(scores[second]))
      pair = scores[first][both], scores[second][both]
      assert found["tau"][i][j] == pytest.approx(_tau_b(*pair))
      expected = stats.kendalltau(*pair).statistic
      assert found["tau"][i][j] == pytest.approx(expected)


def test_of_many_records_a_sample_is_compared():
  generator = np.random.default_rng(2)
  first = generator.normal(size=3000)
  scores = {"a": first, "b": first + generator.normal(size=3000)}
  found = agreement.matrix(scores, limit=1000, seed=5)
  assert (found["records"], found["of"]) == (1000, 3000)
  whole = stats.kendalltau(scores["a"], scores["b"]).statistic
  assert found["tau"][0][1] != pytest.approx(whole, abs=1e-9)
  assert found["tau"][0][1] == pytest.approx(whole, abs=0.06)
  assert found == agreement.matrix(scores, limit=1000, seed=5)
  assert found != agreement.matrix(scores, limit=1000, seed=6)


def test_a_matrix_of_what_cannot_be_ranked():
  scores = {"a": np.arange(3.0), "b": np.ones(3), "c": np.full(3, np.nan)}
  found = agreement.matrix(scores)
  assert found["tau"] == [[1.0, None, None], [None] * 3, [None] * 3]
  empty = {"names": [], "tau": [], "records": 0, "of": 0}
  assert agreement.matrix({}) == empty
