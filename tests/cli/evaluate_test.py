# SPDX-License-Identifier: Apache-2.0
"""The verb `evaluate` on a finished experiment, and on one with bad runs."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from data_efficient.data import score_sets, selections
from tests import quickstarts


def _change(directory, **facts):
  path = directory / "run.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | facts))


@pytest.fixture
def copied(experiment, tmp_path):
  """The experiment with runs that a test may change."""
  root = tmp_path / "out"
  root.mkdir()
  for name in ("corpus", "scores", "selections", "models"):
    (root / name).symlink_to(experiment.root / name)
  for path in (experiment.root / "runs").iterdir():
    directory = root / "runs" / path.name
    directory.mkdir(parents=True)
    for name in ("run.json", "metrics.jsonl", "config.gin"):
      shutil.copy(path / name, directory)
  return root


def _evaluate(experiment, root, **bindings):
  job = experiment.jobs["evaluate"]
  code = quickstarts.run_job(job, EXPERIMENT=str(root), **bindings)
  path = root / "results.json"
  return code, json.loads(path.read_text()) if path.exists() else None


def test_bad_runs_beside_good_ones(experiment, copied, capsys):
  runs = copied / "runs"
  (runs / "density-0.4-0" / "run.json").write_text("{")
  (runs / "begun").mkdir()
  facts = json.loads((runs / "ask_llm-0.4-0" / "run.json").read_text())
  _change(
    runs / "ask_llm-0.4-0",
    compared_by=facts["compared_by"] | {"corpus": "another"},
  )
  shutil.copytree(runs / "random-0.4-1", runs / "twin")
  before = len(experiment.results()["runs"])
  code, found = _evaluate(experiment, copied)
  assert code == 0
  left = {entry["directory"].rsplit("/", 1)[1] for entry in found["left_out"]}
  bad = {"density-0.4-0", "ask_llm-0.4-0", "random-0.4-1"}
  assert left == bad | {"begun", "twin"}
  assert len(found["runs"]) == before - len(bad)
  printed = capsys.readouterr().out
  for name in left:
    assert f"left out: {runs / name}: " in printed
  assert "another corpus: run.json has corpus another" in printed
  # The rows of the others are those of before.
  rows = {
    (row["sampler"], row["seed"]): row for row in experiment.results()["runs"]
  }
  for row in found["runs"]:
    known = rows[row["sampler"], row["seed"]]
    assert row["hq_loss"] == known["hq_loss"]


def test_only_bad_runs_are_an_error(experiment, copied, capsys):
  for path in (copied / "runs").iterdir():
    (path / "run.json").write_text("{")
  code, found = _evaluate(experiment, copied, SAMPLERS=None)
  assert code == 2 and found is None
  assert "no run is left to evaluate" in capsys.readouterr().err


def test_selections_without_random_beside_are_named(experiment, copied, capsys):
  for path in (copied / "runs").glob("random-*"):
    shutil.rmtree(path)
  code, found = _evaluate(experiment, copied, SAMPLERS=None)
  assert code == 0
  samplers = {entry["sampler"] for entry in found["random_missing"]}
  assert samplers == {"ask_llm", "density", "quality_classifier"}
  printed = capsys.readouterr().out
  assert printed.count("no Random: ") == 3
  assert "no Random: Density at 40%" in printed


def test_runs_of_before_corpora_were_stated_still_count(
  experiment, copied, capsys
):
  for path in sorted((copied / "runs").iterdir())[:2]:
    facts = json.loads((path / "run.json").read_text())
    assert facts["compared_by"].pop("corpus")
    (path / "run.json").write_text(json.dumps(facts))
  code, found = _evaluate(experiment, copied)
  assert code == 0 and not found["left_out"]
  assert len(found["corpus_unknown"]) == 2
  assert "corpus not stated by 2 runs" in capsys.readouterr().out


def test_what_the_results_hold_of_a_real_experiment(experiment):
  found = experiment.results()
  assert not found["left_out"] and not found["random_missing"]
  (network,) = found["networks"]
  assert network["runs"] == len(found["runs"])
  assert 0 < network["non_embedding_parameters"] < network["parameters"]
  texts = found["configurations"]["texts"]
  assert len(found["configurations"]["runs"]) == len(found["runs"])
  for run in found["configurations"]["runs"]:
    text = texts[run["text"]]
    assert f"SEED = {run['seed']}" in text and "STEPS = 4" in text
  for row in found["runs"]:
    assert (row["scoring_seconds"] > 0) == (
      row["sampler"] not in ("full", "random")
    )
  for row in found["samplers"]:
    assert set(row["convergence"]) == {
      *("hq_loss", "hq_accuracy", "in_distribution_loss"),
      "in_distribution_accuracy",
    }
  spent = sum(row["amortised"] for row in found["runs"])
  stages = {
    stage
    for row in found["scoring_seconds"].values()
    for stage in row["stages"].items()
  }
  assert spent == pytest.approx(sum(seconds for _, seconds in stages))


def test_agreement_of_score_sets_over_the_pool(experiment):
  found = experiment.results()["agreement"]
  assert set(found["names"]) == {"ask_llm", "density", "quality_classifier"}
  places = experiment.jobs["evaluate"].bindings["SCORES"]
  pool = selections.Selection.open(experiment.root / "corpus/splits/pool")
  values = {}
  for name in found["names"]:
    scores = score_sets.ScoreSet.open(experiment.root / places[name])
    column = scores.read(["score"])["score"]
    values[name] = np.concatenate(
      [column[shard][pool.mask(shard)] for shard in pool.shards]
    )
  assert found["records"] == found["of"] == len(values["density"])
  for i, first in enumerate(found["names"]):
    for j, second in enumerate(found["names"]):
      tau = stats.kendalltau(values[first], values[second]).statistic
      assert found["tau"][i][j] == pytest.approx(tau)


def test_a_score_set_that_two_samplers_read_stands_there_once(
  experiment, copied
):
  scores = dict(experiment.jobs["evaluate"].bindings["SCORES"])
  scores["quality_coverage"] = scores["ask_llm"]
  code, found = _evaluate(experiment, copied, SCORES=scores)
  assert code == 0
  assert set(found["agreement"]["names"]) == set(scores) - {"quality_coverage"}


def test_scores_of_another_corpus_are_an_error(
  experiment, copied, tmp_path, capsys
):
  place = tmp_path / "elsewhere"
  shutil.copytree(copied / "scores/quality_classifier", place)
  manifest = json.loads((place / "manifest.json").read_text())
  manifest["identity"]["corpus"]["fingerprint"] = "another"
  (place / "manifest.json").write_text(json.dumps(manifest))
  code, found = _evaluate(
    experiment, copied, SCORES={"density": str(place)}, JUDGED={}
  )
  assert code == 2 and found is None
  assert "score_set of another corpus" in capsys.readouterr().err


def test_a_cost_that_was_not_measured_is_not_nothing(
  experiment, copied, capsys
):
  (copied / "scores").unlink()
  shutil.copytree(experiment.root / "scores", copied / "scores")
  (copied / "scores/density/cost.json").unlink()
  code, found = _evaluate(experiment, copied)
  assert code == 0
  assert set(found["scoring_seconds"]) == {"ask_llm", "quality_classifier"}
  for row in found["runs"]:
    assert (row["scoring_seconds"] is None) == (row["sampler"] == "density")
  assert "not known: density: no cost.json in " in capsys.readouterr().out
  (copied / "scores/ask_llm/cost.json").write_text('{"second": 1}')
  assert _evaluate(experiment, copied)[0] == 2
  assert "ask_llm/cost.json: damaged" in capsys.readouterr().err
