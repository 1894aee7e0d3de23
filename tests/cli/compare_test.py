# SPDX-License-Identifier: Apache-2.0
"""The verbs compare and report on files, without a model."""

import json

import numpy as np
import pytest

from data_efficient import main
from data_efficient.data import (
  instruction_pools,
  instructions,
  utility_kernel_writer,
)
from tests.evaluation import tuned

TASKS = ("sum", "spell")


@pytest.fixture
def pool(tmp_path):
  """The files of `tuned.SHARDS`, ten records."""
  for name, count in tuned.SHARDS.items():
    rows = [
      {"instruction": f"{name} {n}?", "output": f"{n}", "task": TASKS[n % 2]}
      for n in range(count)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "pool").mkdir(exist_ok=True)
    (tmp_path / "pool" / name).write_text(lines)
  return tmp_path / "pool"


def _instructions(pool):
  return instructions.Instructions(
    pattern=str(pool / "*.jsonl"),
    prompt_field="instruction",
    input_field="input",
    response_field="output",
    task_field=("task",),
  )


def _experiment(pool, root):
  made = instruction_pools.InstructionPool(
    _instructions(pool), str(root / "prepared")
  )
  experiment = tuned.Experiment(root, corpus=made.index.describe())
  for seed in (0, 1):
    for method, kept in (("random", (0, 3)), ("delift", (1, 9))):
      name = experiment.select(method, 0.2, seed, kept, tokens=7)
      experiment.run(name, 2.0 + seed)
  experiment.spent("utilities/u", 5.0)
  return experiment


def _kernel(pool, directory):
  """Target i is helped by example j by (j - i) / 100."""
  axis = _instructions(pool).axis(["scored"] * 10)
  with utility_kernel_writer.UtilityKernelWriter(
    directory, identity={}, targets=axis, examples=axis, block=(4, 3)
  ) as writer:
    writer.write_alone(np.ones(10, np.float32))
    values = (np.arange(10)[None, :] - np.arange(10)[:, None]) / 100
    for place in writer.missing():
      block = values[place.targets, place.examples].astype(np.float32)
      writer.write(place, block)
    writer.finish()


def _compare(pool, root, **bindings):
  values = {
    **{"EXPERIMENT": str(root), "POOL": str(pool / "*.jsonl")},
    **{"PREPARED": str(root / "prepared"), "TASK_FIELD": ("task",)},
    "STAGES": {"random": {}, "delift": {"u": "utilities/u"}},
    **bindings,
  }
  return main.main(
    [
      "compare",
      *("--gin_file=gin/runs/compare.gin",),
      *("--gin_file=gin/data/instruction_pool.gin",),
      *(f"--gin.{name}={value!r}" for name, value in values.items()),
    ]
  )


def test_results_and_page_come_from_files(pool, tmp_path, capsys):
  root = tmp_path / "out"
  _experiment(pool, root)
  _kernel(pool, root / "utilities/u/kernel")
  kernel = str(root / "utilities/u/kernel")
  assert _compare(pool, root, HELPED=kernel) == 0
  results = json.loads((root / "results.json").read_text())
  assert results["cost"]["delift"]["total"] == 6.0
  rows = {row["method"]: row for row in results["selected"]["rows"]}
  # a.jsonl 1 and b.jsonl 3 are both spelt; a 0 a sum, a 3 spelt.
  assert rows["delift"]["tasks"] == {"sum": 0.0, "spell": 1.0}
  assert rows["random"]["tasks"] == {"sum": 0.5, "spell": 0.5}
  assert rows["delift"]["tokens"] is None  # nobody counted
  first, second = results["helped"]
  # Of the chosen targets 1 and 9, the first is helped most by 9, 8, 7; the
  # second's best is a record with itself left out: 8, 7, 6.
  assert first["target"]["prompt"] == "a.jsonl 1?"
  assert [each["prompt"] for each in first["by"]] == [
    *("b.jsonl 3?", "b.jsonl 2?", "b.jsonl 1?"),
  ]
  assert first["by"][0]["chosen_by"] == ["delift"]
  assert first["by"][0]["utility"] == pytest.approx(0.08)
  assert second["by"][0]["prompt"] == "b.jsonl 2?"
  assert second["by"][0]["utility"] == pytest.approx(-0.01)
  assert results["same_task"]["targets"] == 10
  report = ["report", f"--gin.EXPERIMENT={root}", "--gin.CORPUS=None"]
  assert main.main(report) == 0
  assert "own task have a mean utility" in (root / "report.md").read_text()
  assert "DELIFT" in (root / "index.html").read_text()
  assert (root / "quality.svg").exists()


def test_runs_of_another_pool_are_refused(pool, tmp_path, capsys):
  root = tmp_path / "out"
  _experiment(pool, root)
  path = pool / "a.jsonl"
  path.write_text(path.read_text().replace("a.jsonl 0?", "changed?"))
  again = {"PREPARED": str(tmp_path / "again")}
  assert _compare(pool, root, **again) == 2
  assert "fingerprint" in capsys.readouterr().err
  assert not (root / "results.json").exists()


def test_a_foreign_run_is_named(pool, tmp_path, capsys):
  root = tmp_path / "out"
  made = _experiment(pool, root)
  made.run("stranger", 1.0)
  assert _compare(pool, root) == 0
  printed = capsys.readouterr().out
  assert f"left out: {root}/runs/stranger" in printed


def test_an_empty_experiment_says_so(pool, tmp_path, capsys):
  assert _compare(pool, tmp_path / "nothing") == 2
  assert "no finished run and no responses" in capsys.readouterr().err
