# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np
import pytest
from scipy import stats

from data_efficient.evaluation import results as results_module
from tests.evaluation import fakes, sizes

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


_CURVES = {
  # Full ends at 6; in the larger network at 5.
  ("full", 16): ((9.0, 6.0, 6.0, 6.0), (9.0, 6.0, 6.0, 6.0)),
  ("full", 32): ((9.0, 5.0, 5.0, 5.0), (9.0, 5.0, 5.0, 5.0)),
  ("random", 16): ((9.0, 7.0, 7.0, 7.0), (9.0, 7.0, 7.0, 7.0)),
  ("ask_llm", 16): ((9.0, 5.5, 5.5, 5.5), (9.0, 8.0, 8.0, 8.0)),
  ("ask_llm", 32): ((9.0, 5.5, 5.5, 5.5), (9.0, 4.5, 4.5, 4.5)),
}


@pytest.fixture
def two_networks(tmp_path):
  """Two seeds of each of `_CURVES`; 60 s of training, 40 s of scoring."""
  directories = []
  for (sampler, width), curves in _CURVES.items():
    for seed, losses in enumerate(curves):
      pairs = list(zip((0, 10, 20, 30), losses, strict=True))
      facts = {
        **{"sampler": sampler, "seed": seed, "training_seconds": 60.0},
        "budget": None if sampler == "full" else 0.4,
        "kept_tokens": 1000 if sampler == "full" else 400,
        "compared_by": sizes.compared_by(width),
      }
      directory = fakes.write_run(
        tmp_path / f"{sampler}-{width}-{seed}",
        facts=facts,
        evaluations={"hq": pairs, "in_distribution": pairs},
      )
      text = f"WIDTH = {width}\n" if seed else f"WIDTH = {width}\nSEED = 0\n"
      (directory / "config.gin").write_text(text)
      directories.append(directory)
  facts = _FACTS | {"scoring_seconds": {"ask_llm": {"score": 40.0}}}
  return results_module.assemble(directories, **facts)


def _row(results, network, sampler):
  (row,) = [
    row
    for row in results["samplers"]
    if (row["network"], row["sampler"]) == (network, sampler)
  ]
  return row


def test_networks_are_compared_each_by_itself(two_networks):
  small, large = (each["network"] for each in two_networks["networks"])
  assert [each["runs"] for each in two_networks["networks"]] == [6, 4]
  assert (small, large) == ("6.4K", "19K")
  assert two_networks["target"] == two_networks["targets"][small]
  assert two_networks["target"]["hq_loss"] == 6.0
  assert two_networks["targets"][large]["hq_loss"] == 5.0
  assert two_networks["targets"][large]["seeds"] == [0, 1]
  # Larger networks after the main one, in runs and in rows.
  assert [run["network"] for run in two_networks["runs"]] == (
    [small] * 6 + [large] * 4
  )
  against = _row(two_networks, small, "ask_llm")["against_random"]["hq_loss"]
  assert against["mean"] == pytest.approx((-1.5 + 1.0) / 2)
  assert _row(two_networks, large, "ask_llm")["against_random"] is None
  (missing,) = two_networks["random_missing"]
  assert (missing["network"], missing["sampler"]) == (large, "ask_llm")
  assert "no run of Random" in missing["reason"]


def test_what_a_run_costs_until_it_is_where_full_is(two_networks):
  runs = {
    (run["network"], run["sampler"], run["seed"]): run
    for run in two_networks["runs"]
  }
  run = runs["6.4K", "ask_llm", 0]
  # From 9 to 5.5 in ten steps: at 6 after 3/3.5 of them.
  steps = 10 * 3 / 3.5
  assert run["steps_to_full"] == pytest.approx(steps)
  assert run["tokens_to_full"] == pytest.approx(steps * 16 * 192)
  assert run["scoring_seconds"] == 40.0
  # Scores serve four runs of two networks.
  assert run["amortised"] == 10.0
  seconds = 60 * steps / 30
  assert run["seconds_to_full"] == pytest.approx(seconds)
  assert run["seconds_to_full_with_scoring"] == pytest.approx(seconds + 40)
  assert run["seconds_to_full_with_scoring_amortised"] == pytest.approx(
    seconds + 10
  )
  never = runs["6.4K", "ask_llm", 1]
  assert never["tokens_to_full"] is None and never["seconds_to_full"] is None
  assert never["seconds_to_full_with_scoring"] is None
  assert runs["6.4K", "full", 0]["scoring_seconds"] == 0.0


def test_convergence_by_hand(two_networks):
  found = _row(two_networks, "6.4K", "ask_llm")["convergence"]["hq_loss"]
  # Seed 0 after 3/3.5 of ten steps, seed 1 never, of 30. Full after ten.
  ours = [10 * 3 / 3.5, 30.0]
  assert (found["steps"]["reached"], found["steps"]["total"]) == (1, 2)
  assert found["steps"]["restricted_mean"] == pytest.approx(np.mean(ours))
  assert found["steps"]["speedup_mean"] == pytest.approx(1 - np.mean(ours) / 10)
  assert found["tokens"]["restricted_mean"] == pytest.approx(
    np.mean(ours) * 16 * 192
  )
  # A step is two seconds; Full needs 20 of them.
  for unit, scoring in (
    ("seconds", 0.0),
    ("seconds_with_scoring", 40.0),
    ("seconds_with_scoring_amortised", 10.0),
  ):
    spent = 2 * np.array(ours) + scoring
    assert found[unit]["restricted_mean"] == pytest.approx(spent.mean())
    assert found[unit]["speedup_mean"] == pytest.approx(1 - spent.mean() / 20)
    expected = stats.ttest_1samp(1 - spent / 20, 0).confidence_interval(0.95)
    assert found[unit]["speedup_interval"] == pytest.approx(
      [expected.low, expected.high]
    )
  assert _row(two_networks, "6.4K", "full")["convergence"]["hq_loss"]["steps"][
    "speedup_mean"
  ] == pytest.approx(0.0)


def test_more_is_better_where_it_is(tmp_path):
  """An accuracy that rises converges as a loss does that falls."""
  directories = []
  values = {"full": (0.1, 0.3, 0.3, 0.3), "ask_llm": (0.1, 0.5, 0.5, 0.5)}
  for sampler, accuracies in values.items():
    lines = [
      json.dumps({"step": step, "evaluation": "glue", "average": value})
      for step, value in zip((0, 10, 20, 30), accuracies, strict=True)
    ]
    facts = {"sampler": sampler, "budget": None if sampler == "full" else 0.4}
    directory = fakes.write_run(tmp_path / sampler, facts=facts, lines=lines)
    directories.append(directory)
  found = results_module.assemble(directories, **_FACTS)
  assert found["metrics"]["glue_average"] == "higher"
  assert found["metrics"]["hq_loss"] == "lower"
  assert found["target"]["glue_average"] == pytest.approx(0.3)
  row = _sampler(found, "ask_llm", 0.4)
  steps = row["convergence"]["glue_average"]["steps"]
  assert steps["reached"] == 1
  assert steps["restricted_mean"] == pytest.approx(5.0)
  # Of an unknown cost there is no figure, not one of nothing.
  assert row["convergence"]["glue_average"]["seconds_with_scoring"] is None
  assert row["convergence"]["glue_average"]["seconds"]["total"] == 1


def test_a_metric_that_a_run_lacks_has_no_figure(tmp_path):
  line = json.dumps({"step": 30, "evaluation": "glue", "average": 0.3})
  directories = [
    fakes.write_run(tmp_path / "a", facts={"seed": 0}, lines=[line] * 3),
    fakes.write_run(tmp_path / "b", facts={"seed": 1}),
    fakes.write_run(tmp_path / "c", facts={"sampler": "full", "budget": None}),
  ]
  found = results_module.assemble(directories, **_FACTS)
  assert "glue_average" not in _sampler(found, "random")["convergence"]
  assert "glue_average" not in found["target"]


def test_perplexities_are_powers_of_losses(two_networks):
  row = _row(two_networks, "6.4K", "ask_llm")
  assert row["hq_perplexity"]["mean"] == pytest.approx(math.exp(6.75))
  low, high = row["hq_perplexity"]["interval"]
  half = 12.7062 * 1.25
  assert low == pytest.approx(math.exp(6.75 - half), rel=1e-3)
  assert high == pytest.approx(math.exp(6.75 + half), rel=1e-3)
  assert _row(two_networks, "6.4K", "full")["hq_perplexity"][
    "interval"
  ] == pytest.approx([math.exp(6.0)] * 2)


def test_a_perplexity_beyond_all_numbers_is_null(tmp_path):
  results = _assemble(
    tmp_path,
    [
      ("random", 0.2, 0, (9.0, 7.0, 7.0, 7.0)),
      # Its interval over two seeds reaches far beyond exp's range.
      ("random", 0.2, 1, (9.0, 200.0, 200.0, 200.0)),
    ],
  )
  found = _sampler(results, "random")["hq_perplexity"]
  assert found["mean"] == pytest.approx(math.exp(103.5))
  assert found["interval"] == [pytest.approx(0.0), None]
  json.dumps(results, allow_nan=False)


def test_networks_of_one_size_count_as_one_size(tmp_path):
  directories = []
  networks = (
    (sizes.network(16), 6.0),
    (sizes.network(16, dtype="bfloat16"), 8.0),
    (sizes.network(32), 5.0),
  )
  for index, (network, loss) in enumerate(networks):
    pairs = [(step, loss) for step in (0, 10, 20, 30)]
    facts = {
      **{"sampler": "full", "budget": None},
      "compared_by": {**fakes.COMPARED_BY, "network": network},
    }
    directory = fakes.write_run(
      tmp_path / str(index),
      facts=facts,
      evaluations={"hq": pairs, "in_distribution": pairs},
    )
    directories.append(directory)
  found = results_module.assemble(directories, **_FACTS)
  assert list(found["size_curve"]["sizes"].values()) == [7.0, 5.0]


def test_over_scaling_against_the_next_network(two_networks):
  row = _row(two_networks, "6.4K", "ask_llm")
  # From 6 to 5: seed 0 gains half of it, seed 1 loses twice as much.
  found = row["over_scaling"]["hq_loss"]
  assert found["mean"] == pytest.approx((50 - 200) / 2)
  assert found["interval"][1] == pytest.approx(-75 + 12.7062 * 125, rel=1e-4)
  assert row["over_scaling_average"]["mean"] == pytest.approx(found["mean"])
  assert row["over_scaling_average"]["metrics"] == 2
  full = _row(two_networks, "6.4K", "full")["over_scaling"]["hq_loss"]
  assert full["mean"] == 0.0
  assert _row(two_networks, "19K", "ask_llm")["over_scaling"] is None


def test_over_scaling_is_against_the_next_size_not_the_largest(tmp_path):
  directories = []
  # The largest first and the smallest in the middle.
  for width, loss in ((64, 2.0), (16, 6.0), (32, 5.0)):
    for sampler, less in (("full", 0.0), ("random", 0.5)):
      pairs = [(step, loss - less) for step in (0, 10, 20, 30)]
      facts = {
        **{"sampler": sampler, "budget": None if not less else 0.4},
        "compared_by": sizes.compared_by(width),
      }
      directory = fakes.write_run(
        tmp_path / f"{sampler}-{width}",
        facts=facts,
        evaluations={"hq": pairs, "in_distribution": pairs},
      )
      directories.append(directory)
  found = results_module.assemble(directories, **_FACTS)
  names = [each["network"] for each in found["networks"]]
  # Half a nat of one; of three.
  scaled = [_row(found, name, "random")["over_scaling"] for name in names]
  assert scaled[0]["hq_loss"]["mean"] == pytest.approx(50.0)
  assert scaled[1]["hq_loss"]["mean"] == pytest.approx(100 / 6)
  assert scaled[2] is None


def test_effective_sizes(two_networks):
  small, large = (
    each["non_embedding_parameters"] for each in two_networks["networks"]
  )
  assert two_networks["size_curve"]["fit"] == "log_linear"
  found = _row(two_networks, "6.4K", "full")["effective_model_size"]
  assert found["parameters"] == pytest.approx(small)
  assert found["extrapolated"] is False
  # 6.75 is three quarters of the step to the larger one below the smaller.
  found = _row(two_networks, "6.4K", "ask_llm")["effective_model_size"]
  assert found["parameters"] == pytest.approx(small * (small / large) ** 0.75)
  assert found["extrapolated"] is True


def test_of_one_network_there_is_no_effective_size(tmp_path):
  results = _assemble(tmp_path, [("full", None, 0, (9.0, 6.0, 6.0, 6.0))])
  (row,) = results["samplers"]
  assert row["effective_model_size"]["parameters"] is None
  assert "two network sizes" in row["effective_model_size"]["reason"]
  assert row["over_scaling"] is None


def test_fronts_count_scoring(two_networks):
  front = two_networks["pareto"]["6.4K"]
  # 6.75 on 400 tokens, 7 on 400, 6 on 1,000; ask_llm takes 60 + 40 s.
  kept = {p["sampler"]: (p["x"], p["on_front"]) for p in front["data"]}
  assert kept == {
    "ask_llm": (400, True), "random": (400, False), "full": (1000, True)
  }  # fmt: skip
  time = {
    p["sampler"]: (p["x"], p["on_front"]) for p in front["accelerator_time"]
  }
  assert time == {
    "ask_llm": (100, False), "random": (60, False), "full": (60, True)
  }  # fmt: skip
  (point,) = [p for p in front["data"] if p["sampler"] == "ask_llm"]
  assert point["interval"][0] < point["y"] == 6.75 < point["interval"][1]


def test_configurations_stand_there_once(two_networks):
  found = two_networks["configurations"]
  assert len(found["texts"]) == 4 and len(found["runs"]) == 10
  for run in found["runs"]:
    sampler, width, seed = run["run"].split("-")
    assert (run["sampler"], run["seed"]) == (sampler, int(seed))
    text = found["texts"][run["text"]]
    assert text.startswith(f"WIDTH = {width}\n")
    assert ("SEED" in text) == (seed == "0")


def test_a_run_without_its_configuration_is_named(tmp_path):
  results = _assemble(tmp_path, [("random", 0.2, 0, (9.0, 7.0, 6.0, 5.0))])
  assert results["configurations"] == {
    **{"texts": [], "runs": []},
    "missing": ["random-0.2-0"],
  }


def test_suites_of_runs_are_averaged_and_compared(tmp_path):
  directories = []
  for sampler, values in (("random", (0.2, 0.4)), ("ask_llm", (0.5, 0.5))):
    for seed, value in enumerate(values):
      facts = {"sampler": sampler, "budget": 0.4, "seed": seed}
      directory = fakes.write_run(tmp_path / f"{sampler}-{seed}", facts=facts)
      found = {
        "results": {
          "averages": {"GLUE": {"value": value}},
          "categories": {"GLUE": {"value": value}},
          "average": {"value": None},
        },
        "validation": {},
      }
      (directory / "suites.json").write_text(json.dumps(found))
      directories.append(directory)
  results = results_module.assemble(directories, **_FACTS)
  row = _sampler(results, "ask_llm", 0.4)
  assert row["suites"]["GLUE"]["mean"] == 0.5
  assert row["against_random"]["GLUE"]["mean"] == pytest.approx(0.2)
  assert results["metrics"]["GLUE"] == "higher"


def test_runs_of_another_corpus_than_the_one_evaluated(tmp_path):
  directories = [
    fakes.write_run(
      tmp_path / corpus,
      facts={
        "seed": seed,
        "compared_by": {**fakes.COMPARED_BY, "corpus": corpus},
      },
    )
    for seed, corpus in enumerate(("c1", "c2"))
  ]
  facts = _FACTS | {"corpus": {"fingerprint": "c2"}}
  found = results_module.assemble(directories, **facts)
  assert [run["seed"] for run in found["runs"]] == [1]
  assert found["left_out"][0]["directory"].endswith("c1")
  assert found["corpus_unknown"] == []


def test_equal_values_are_their_own_mean(tmp_path):
  """The mean of three times 0.1 is a little more than 0.1, in floats."""
  directories = [
    fakes.write_run(
      tmp_path / str(seed),
      facts={"sampler": "full", "budget": None, "seed": seed},
    )
    for seed in range(3)
  ]
  found = results_module.assemble(directories, **_FACTS)
  steps = _sampler(found, "full", None)["convergence"]["hq_accuracy"]["steps"]
  assert (steps["reached"], steps["restricted_mean"]) == (3, 0.0)
