# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np
import pytest
from scipy import stats

from data_efficient.evaluation import results as results_module
from tests.evaluation import fakes

_FACTS = {
  "judge": {},
  "scoring_seconds": {},
  "corpus": {},
  "selections": {},
  "command": "",
  "commit": "",
}


def _write(root, runs):
  """Runs (sampler, budget, seed, losses at 0, 10, 20, 30) to directories."""
  directories = []
  for sampler, budget, seed, losses in runs:
    pairs = list(zip((0, 10, 20, 30), losses, strict=True))
    facts = {"sampler": sampler, "budget": budget, "seed": seed}
    directories.append(
      fakes.write_run(
        root / f"{sampler}-{budget}-{seed}",
        facts=facts,
        evaluations={"hq": pairs, "in_distribution": pairs},
      )
    )
  return directories


def _assemble(root, runs):
  return results_module.assemble(_write(root, runs), **_FACTS)


def _sampler(results, name, budget=0.2):
  (found,) = [
    s
    for s in results["samplers"]
    if s["sampler"] == name and s["budget"] == budget
  ]
  return found


def test_figures_by_hand(tmp_path):
  results = _assemble(
    tmp_path,
    [
      ("random", 0.2, 0, (9.0, 7.0, 6.0, 5.0)),  # final 6
      ("random", 0.2, 1, (9.0, 8.0, 6.0, 5.5)),  # final 6.5
      ("full", None, 0, (9.0, 6.0, 6.0, 6.0)),  # final 6, the target
      ("ask_llm", 0.2, 1, (9.0, 5.0, 5.0, 5.0)),  # final 5
      ("ask_llm", 0.2, 0, (9.0, 7.0, 5.0, 3.0)),  # final 5
    ],
  )
  assert results["target"]["hq_loss"] == 6.0
  assert [r["sampler"] for r in results["runs"]] == [
    "full", "random", "random", "ask_llm", "ask_llm"
  ]  # fmt: skip
  random0, ask0, ask1 = (results["runs"][i] for i in (1, 3, 4))
  assert random0["final_hq_loss"] == pytest.approx(6.0)
  assert random0["steps_to_full"] == pytest.approx(20.0)
  assert random0["speedup"] == pytest.approx(1 / 3)
  # Seed 0 falls from 7 to 5 between 10 and 20; seed 1 from 9 to 5 before 10.
  assert ask0["steps_to_full"] == pytest.approx(15.0)
  assert ask1["steps_to_full"] == pytest.approx(7.5)
  ask = _sampler(results, "ask_llm")
  against = ask["against_random"]["hq_loss"]
  assert against["mean"] == pytest.approx((-1.0 - 1.5) / 2)
  assert against["seeds"] == [0, 1]
  assert against["interval"][1] == pytest.approx(
    -1.25 + 12.7062 * 0.25, abs=1e-3
  )
  assert ask["against_full"]["hq_loss"]["n"] == 1
  assert ask["against_full"]["hq_loss"]["interval"] is None
  assert ask["against_quality_classifier"] is None
  assert ask["verdict"] == "undecided"
  assert ask["speedup"]["mean"] == pytest.approx((0.5 + 0.75) / 2)
  assert ask["steps_to_full"]["restricted_mean"] == pytest.approx(11.25)
  assert ask1["mean_hq_loss"] == pytest.approx((7.0 + 5.0 + 5.0) / 3)


def test_a_run_that_never_arrives_is_censored_not_dropped(tmp_path):
  results = _assemble(
    tmp_path,
    [
      ("full", None, 0, (9.0, 6.0, 6.0, 6.0)),
      ("density", 0.2, 0, (9.0, 7.0, 5.0, 5.0)),  # at 15
      ("density", 0.2, 1, (9.0, 8.0, 8.0, 8.0)),  # never, of 30
    ],
  )
  found = _sampler(results, "density")["steps_to_full"]
  assert found["mean"] is None and (found["reached"], found["total"]) == (1, 2)
  assert found["restricted_mean"] == pytest.approx((15 + 30) / 2)
  low, high = found["restricted_interval"]
  assert low < 22.5 < high


def test_aggregates_of_the_experiment(results):
  ask = _sampler(results, "ask_llm")
  finals = {
    (r["sampler"], r["seed"]): r["final_hq_loss"] for r in results["runs"]
  }
  ours = [finals["ask_llm", seed] for seed in range(3)]
  theirs = [finals["random", seed] for seed in range(3)]
  expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
  assert ask["against_random"]["hq_loss"]["interval"] == pytest.approx(
    [expected.low, expected.high]
  )
  assert ask["hq_loss"]["std"] == pytest.approx(np.std(ours, ddof=1))
  assert ask["verdict"] == "beats"
  assert ask["against_quality_classifier"]["hq_loss"]["n"] == 2
  assert _sampler(results, "full", None)["verdict"] is None


def test_budgets_are_compared_with_their_own_random(tmp_path):
  results = _assemble(
    tmp_path,
    [
      ("random", 0.2, 0, (9.0, 6.0, 6.0, 6.0)),
      ("random", 0.4, 0, (9.0, 8.0, 8.0, 8.0)),
      ("density", 0.4, 0, (9.0, 7.0, 7.0, 7.0)),
      ("density", 0.6, 0, (9.0, 7.0, 7.0, 7.0)),
    ],
  )
  found = _sampler(results, "density", 0.4)["against_random"]["hq_loss"]
  assert found["mean"] == pytest.approx(-1.0)
  assert _sampler(results, "density", 0.6)["against_random"] is None
  assert _sampler(results, "density", 0.6)["verdict"] is None


def test_without_full_there_is_no_speedup(tmp_path):
  results = _assemble(tmp_path, [("random", 0.2, 0, (9.0, 7.0, 6.0, 5.0))])
  assert results["target"]["hq_loss"] is None
  assert results["runs"][0]["steps_to_full"] is None
  assert _sampler(results, "random")["speedup"]["reached"] == 0
  assert _sampler(results, "random")["steps_to_full"]["restricted_mean"] is None


def test_a_diverged_seed_leaves_nulls_not_nan(tmp_path):
  results = _assemble(
    tmp_path,
    [
      ("random", 0.2, 0, (9.0, 7.0, 6.0, 5.0)),
      ("random", 0.2, 1, (9.0, 7.0, 6.0, math.nan)),
    ],
  )
  random = _sampler(results, "random")
  assert random["hq_loss"] == {"mean": None, "std": None, "n": 2}
  assert results["runs"][1]["hq_loss"][-1] is None
  json.dumps(results, allow_nan=False)


def test_seconds_add_up(results):
  scoring = results["scoring_seconds"]["ask_llm"]
  assert scoring["total"] == pytest.approx(65.2 + 43.4)
  training = results["training_seconds"]
  each = [run["training_seconds"] for run in results["runs"]]
  assert training["total"] == pytest.approx(sum(each))
  assert training["mean"] == pytest.approx(np.mean(each))
  assert len(training["runs"]) == 12


def test_written_json_is_complete_and_repeatable(results, tmp_path):
  path = tmp_path / "results.json"
  results["judge"] = {"name": "x", "auc": {"a": np.float32(0.5), "b": math.inf}}
  results_module.write(path, results)
  first = path.read_bytes()
  found = json.loads(first)
  assert found["judge"]["auc"] == {"a": 0.5, "b": None}
  assert found["runs"] == results["runs"]
  assert {"corpus", "commit", "selections", "samplers"} <= set(found)
  results_module.write(path, results)
  assert path.read_bytes() == first
  assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
