# SPDX-License-Identifier: Apache-2.0
"""What is kept of an experiment is enough to compute its table again."""

import json
import pathlib
import shutil

import pytest

from data_efficient.evaluation import results as results_module
from launch import keep
from tests.evaluation import fakes

COMMITTED = sorted(
  path.parent for path in pathlib.Path("configs/results").glob("*/results.json")
)


@pytest.fixture
def experiment(tmp_path):
  """A finished experiment; in it a run that is not."""
  root = tmp_path / "out"
  found = fakes.write_experiment(tmp_path / "made")
  for path in found:
    shutil.copytree(path, root / "runs" / pathlib.Path(path).name)
  _ask(root / "runs")
  (root / "runs/unfinished/checkpoints").mkdir(parents=True)
  kept = sorted((root / "runs").glob("*/run.json"))
  found = [path.parent for path in kept]
  made = results_module.assemble(found, **fakes.describe_experiment())
  results_module.write(root / "results.json", made)
  return root


def _ask(runs: pathlib.Path) -> None:
  """Every run is asked one suite at three of its steps."""
  for number, run in enumerate(sorted(runs.iterdir())):
    for step in (100, 200, 300):
      value = {"value": number / 100 + step / 1000}
      found = {"averages": {"GLUE": value}, "categories": {"GLUE": value}}
      found["average"] = {"value": None}
      place = run / f"glue/{step}"
      place.mkdir(parents=True)
      text = json.dumps({"results": found, "validation": {}})
      (place / "suites.json").write_text(text)


def test_what_is_kept_gives_the_same_table(experiment, tmp_path, capsys):
  runs = len(list(experiment.glob("runs/*/run.json")))
  assert keep.keep(experiment, tmp_path / "kept") == runs
  assert len(list(tmp_path.glob("kept/runs/*"))) == runs
  asked = list(tmp_path.glob("kept/runs/*/glue/*/suites.json"))
  assert len(asked) == 3 * runs
  table = json.loads((tmp_path / "kept/results.json").read_text())
  assert all(row["suites"]["GLUE"] for row in table["samplers"])
  shutil.rmtree(experiment)
  assert keep.main([str(tmp_path / "kept"), "--again"]) == 0
  assert "the same figures" in capsys.readouterr().out


def test_only_evaluations_are_kept(experiment, tmp_path):
  keep.keep(experiment, tmp_path / "kept")
  for path in tmp_path.glob("kept/runs/*/metrics.jsonl"):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows and all("evaluation" in row for row in rows)


def test_another_figure_is_named(experiment, tmp_path, capsys):
  keep.keep(experiment, tmp_path / "kept")
  path = next(tmp_path.glob("kept/runs/full*/metrics.jsonl"))
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  rows[-1]["loss"] += 0.5
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  assert keep.main([str(tmp_path / "kept"), "--again"]) == 1
  assert "runs: found" in capsys.readouterr().out


def test_bad_input_says_what_to_do(experiment, tmp_path, capsys):
  assert keep.main([str(tmp_path), "--again"]) == 2
  assert "results.json" in capsys.readouterr().err
  with pytest.raises(SystemExit):
    keep.main([str(experiment)])
  assert "where to?" in capsys.readouterr().err


@pytest.mark.parametrize("kept", COMMITTED, ids=lambda path: path.name)
def test_committed_tables_follow_from_committed_runs(kept):
  assert keep.changed(kept) == []
