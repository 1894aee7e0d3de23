# SPDX-License-Identifier: Apache-2.0
"""Instruction tuning from files to a report: every job, on a tiny decoder."""

import json
import random

import pytest

from data_efficient import gin_config, main
from data_efficient.cli import quickstart
from data_efficient.data import selections
from tests import decoders

WORDS = "red blue green cat dog sun moon tree".split()
_EMBEDDER = """
include 'gin/scorers/latent_semantic.gin'
from __gin__ import dynamic_registration
from data_efficient.scorers import latent_semantic

latent_semantic.LatentSemantic.dimensions = 4
"""


def _record(number, generator):
  """A sum, a word backwards, or the first of three words."""
  if number % 3 == 0:
    a, b = generator.randrange(20), generator.randrange(20)
    return f"add {a} and {b}, {number}", "", str(a + b), "sum"
  words = [generator.choice(WORDS) for _ in range(3)]
  if number % 3 == 1:
    return f"{number} backwards", words[0], words[0][::-1], "reverse"
  return f"first word {number}?", " ".join(words), words[0], "first"


def _write(path, numbers):
  generator = random.Random(numbers[0])
  fields = ("instruction", "input", "output", "task")
  lines = [
    json.dumps(dict(zip(fields, _record(n, generator), strict=True)))
    for n in numbers
  ]
  path.write_text("\n".join(lines) + "\n")


def _jobs(root, use, **bindings):
  values = {
    **{name.upper(): str(root / f"{name}.jsonl") for name in ("pool", "test")},
    **{"BASE": str(root / "base"), "OUTPUT": str(root / use)},
    **{"TASK_FIELD": ("task",), "STEPS": 4, "BATCH_SIZE": 4},
    **{"BUDGETS": (0.3,), "SEEDS": (0,), "SHOWN": 2},
    **{"MAX_TOKENS": 400, "RESPONSE_WINDOW": 512, "ANSWER_TOKENS": 4},
    "EMBEDDER_GIN": (str(root / "embedder.gin"),),
    "UTILITY_BINDINGS": {"MAX_TOKENS": 512, "MAX_EXAMPLE_TOKENS": 200},
    **bindings,
  }
  gin_config.parse(
    [f"gin/runs/{use}.gin"], [f"{k}={v!r}" for k, v in values.items()]
  )
  found = []
  gin_config.configured(quickstart.quickstart)(schedule=found.extend)
  return found


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp("tuning")
  decoders.save(root / "base")
  (root / "embedder.gin").write_text(_EMBEDDER)
  for name, numbers in (
    *(("pool", range(60)), ("test", range(60, 72))),
    *(("targets", range(72, 80)), ("known", range(80, 92))),
  ):
    _write(root / f"{name}.jsonl", numbers)
  return root


@pytest.fixture(scope="module")
def experiment(root):
  for job in _jobs(root, "instruction_tuning", UTILITY_TARGETS=20):
    assert main.main(job.words()) == 0, job.command()
  return root / "instruction_tuning"


def test_from_files_to_figures(experiment):
  results = json.loads((experiment / "results.json").read_text())
  assert results["left_out"] == []
  rows = {(row["use"], row["method"]): row for row in results["rows"]}
  methods = ("full", "random", "delift")
  assert set(rows) == {
    (use, method) for use in ("tuned", "in_context") for method in methods
  }
  for (use, method), row in rows.items():
    assert row["kept_records"] == (60 if method == "full" else 18)
    assert row["metrics"]["loss"]["n"] == 1
    assert (use == "tuned") == (row["steps"] == 4)
  assert set(results["base"]) >= {"loss", "exact", "watched_loss"}
  cost = results["cost"]["delift"]
  assert set(cost["stages"]) == {"sample", "utility"} and cost["total"] > 0
  # Of the 20 targets those that were chosen.
  assert 0 < len(results["helped"]) <= 6
  assert all(each["target"]["chosen_by"] for each in results["helped"])
  assert results["selected"]["tasks"] == 3


def test_the_selection_is_what_is_trained_on(experiment):
  facts = json.loads((experiment / "runs/delift-0.3-0/run.json").read_text())
  kept = selections.Selection.open(experiment / "selections/delift-0.3-0")
  assert facts["sampler"] == "delift" and facts["kept_records"] == 18
  assert facts["selection"] == str(kept.directory)
  assert kept.records == 18


def test_the_page_names_every_method(experiment):
  page = (experiment / "index.html").read_text()
  assert "DELIFT" in page and "<svg" in page and "What helps" in page
  assert (experiment / "quality.svg").read_text().startswith("<svg")
  for name in ("report.md", "report.tex"):
    assert "DELIFT" in (experiment / name).read_text()
