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
  (root / "runs/unfinished/checkpoints").mkdir(parents=True)
  made = results_module.assemble(found, **fakes.describe_experiment())
  results_module.write(root / "results.json", made)
  return root


def test_what_is_kept_gives_the_same_table(experiment, tmp_path, capsys):
  runs = len(list(experiment.glob("runs/*/run.json")))
  assert keep.keep(experiment, tmp_path / "kept") == runs
  assert len(list(tmp_path.glob("kept/runs/*"))) == runs
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
