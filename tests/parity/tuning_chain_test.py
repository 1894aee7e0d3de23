# SPDX-License-Identifier: Apache-2.0
"""Instruction tuning from files to a report: every job, on a tiny decoder."""

import json
import random
import time

import pytest

from data_efficient import gin_config, main
from data_efficient.cli import quickstart
from data_efficient.data import selections
from data_efficient.evaluation import page
from data_efficient.evaluation import results as result_files
from data_efficient.evaluation.tuning import outcomes, report
from tests import decoders
from tests.evaluation import tuned, tuning_test

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


def _run(root, use, **bindings):
  for job in _jobs(root, use, **bindings):
    assert main.main(job.words()) == 0, job.command()
  return root / use


@pytest.fixture(scope="module")
def experiment(root):
  return _run(root, "instruction_tuning", UTILITY_TARGETS=20)


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


@pytest.mark.parametrize(
  "use, methods, sets",
  [
    (
      "task_specific",
      "delift_fl2mi delift_flmi delift_fl1mi less",
      {"TARGETS": "targets.jsonl", "LESS_RECORDS": 0.2},
    ),
    ("continual", "delift_flcg", {"KNOWN": "known.jsonl"}),
  ],
  ids=["task_specific", "continual"],
)
def test_the_other_uses(root, use, methods, sets):
  sets = {
    name: str(root / value) if isinstance(value, str) else value
    for name, value in sets.items()
  }
  made = _run(root, use, METHODS=methods, USES=(), **sets)
  results = json.loads((made / "results.json").read_text())
  rows = {row["method"]: row for row in results["rows"]}
  assert set(rows) == {"full", "random", *methods.split()}
  assert all(row["metrics"]["watched_loss"]["mean"] for row in rows.values())
  assert results["left_out"] == []


def test_five_hundred_runs_are_reported_within_a_minute(tmp_path):
  made = tuned.Experiment(tmp_path)
  for seed in range(50):
    for number in range(10):
      method = "random" if number == 0 else f"method_{number}"
      name = made.select(
        method, 0.4, seed, (number, (number + 1 + seed % 9) % 10)
      )
      made.run(name, 2.0 + 0.01 * number)
      made.respond("tuned", name, loss=2.0, exact=0.5)
  began = time.monotonic()
  assert len(outcomes.read(tmp_path, None).outcomes) == 500
  found = tuning_test._results(made)
  result_files.write(tmp_path / "results.json", found)
  read = json.loads((tmp_path / "results.json").read_text())
  page.write(report.composed(read))
  assert time.monotonic() - began < 60
