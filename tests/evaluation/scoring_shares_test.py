# SPDX-License-Identifier: Apache-2.0
import pytest

from data_efficient.evaluation import scoring_shares


def _runs(**counts):
  return [sampler for sampler, count in counts.items() for _ in range(count)]


_SECONDS = {
  "ask_llm": {"teach_judge": 100.0, "ask_llm": 60},
  "density": {"embedding": 12.0},
  "quality_coverage": {"teach_judge": 100.0, "ask_llm": 60, "embedding": 12.0},
  "dsir": {"score": 5.0},
  "prototypes": {"score": 7.0},
}


def test_shares_by_hand():
  runs = _runs(full=2, ask_llm=4, quality_coverage=1, density=2, dsir=2)
  found = scoring_shares.of_samplers(runs, _SECONDS)
  # 160 s for five runs; 12 s for three.
  assert found["ask_llm"] == pytest.approx((160.0, 32.0))
  assert found["density"] == pytest.approx((12.0, 4.0))
  assert found["quality_coverage"] == pytest.approx((172.0, 36.0))
  # Not the stage of that name of a sampler that was not trained.
  assert found["dsir"] == pytest.approx((5.0, 2.5))
  assert found["full"] == (0.0, 0.0)


def test_the_shares_of_all_runs_are_what_was_spent():
  runs = _runs(random=3, ask_llm=4, quality_coverage=1, density=2, dsir=2)
  found = scoring_shares.of_samplers(runs, _SECONDS)
  spent = 100.0 + 60.0 + 12.0 + 5.0
  assert sum(found[run].amortised for run in runs) == pytest.approx(spent)


def test_a_cost_that_is_not_known_is_not_nothing():
  found = scoring_shares.of_samplers(_runs(random=1, perplexity=1), _SECONDS)
  assert found == {"random": (0.0, 0.0), "perplexity": None}
