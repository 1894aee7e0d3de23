# SPDX-License-Identifier: Apache-2.0
"""A config's runs, fine-tuned and asked by its own jobs, to the report."""

import contextlib
import json
import pathlib

import pytest

from configs import chains, downstream
from data_efficient import gin_config
from data_efficient.evaluation import runs
from launch import configs
from tests import compilation, nano, quickstarts
from tests.launch.configs_test import ARGUMENTS

pytest.importorskip(
  "t5.data.mixtures", reason="t5 is not installed: run `make suites`"
)
# Of which one slice of made-up records is enough.
SMALLER = {
  "train": {"BATCH_SIZE": 4, "INPUTS": 48, "TARGETS": 8},
  "suite": {
    **{"INPUTS": 48, "TARGETS": 8},
    **{"suite.suite.resamples": 20, "suite.suite.batch_size": 8},
  },
}


@pytest.mark.parametrize("name", ["paper_grid", "convergence"])
def test_commands_of_tuning_and_asking_are_whole(name):
  """Every macro is one that the gin files read, and none is missing."""
  words = [*ARGUMENTS[name], "--tfds=D"]
  seen = {}
  for job in configs.load(pathlib.Path(f"configs/{name}.py"), words):
    kind = *job.gin_files, *job.bindings
    if job.verb in ("train", "suite") and kind not in seen:
      seen[kind] = job.verb
      gin_config.parse(
        job.gin_files, [f"{k}={v!r}" for k, v in job.bindings.items()]
      )
  assert set(seen.values()) == {"train", "suite"}


@pytest.fixture(scope="module")
def jobs(vocabulary, tmp_path_factory):
  """Full and Random, asked SQuAD at three of six steps; all are done."""
  root = tmp_path_factory.mktemp("downstream")
  corpus = quickstarts.write_corpus(root / "files")
  nano.write(root, nano=16)
  paper = chains.Paper(
    **{"output": str(root / "out"), "corpus": corpus, "steps": 6},
    **{"vocabulary": vocabulary.path, "engine": "local"},
  )
  with contextlib.chdir(root), compilation.shared(root / "compiled"):
    found = paper.jobs(
      **{"sizes": ["nano"], "suites": "squad", "points": 3},
      tuning=downstream.Tuning(tuning_steps=2, tuned_checkpoints=2),
      **{"SAMPLERS": "random", "BUDGETS": (0.4,)},
      **{"SEEDS": (0,), "COMPARED_SEEDS": (0,)},
    )
    yield found


@pytest.fixture(scope="module")
def done(jobs, mocked_module):
  for job in jobs:
    own = job.name.startswith(("tune_", "suite_"))
    with mocked_module() if own else contextlib.nullcontext():
      changes = SMALLER[job.verb] if own else {}
      assert quickstarts.run_job(job, **changes) == 0, job.command()
    assert all(pathlib.Path(path).exists() for path in job.leaves)
  return {job.name: job for job in jobs}


@pytest.mark.parametrize("name", ["nano-full-1-0", "nano-random-0.4-0"])
def test_a_run_has_its_suite_s_curve(done, name):
  directory = pathlib.Path(done[f"train_{name}"].bindings["OUTPUT"])
  found = {}
  for step in (2, 4, 6):
    place = directory / f"squad/{step}"
    report = json.loads((place / "suites.json").read_text())
    found[step] = report["results"]["averages"]["SQuAD"]["value"]
    tuned = json.loads((place / "tuned/run.json").read_text())
    start = directory / f"checkpoints/{step}"
    assert tuned["initial_checkpoint"] == str(start) and start.is_dir()
    # One of two was chosen, on questions that are not reported.
    assert len(report["validation"]) == 2
    assert report["checkpoint"] in report["validation"]
    splits = report["chosen_on"], report["reported_on"]
    assert splits == ("validation", "test")
  read = runs.read_run(directory).measures
  assert set(read) == {
    *("hq_loss", "hq_accuracy", "in_distribution_loss"),
    *("in_distribution_accuracy", "SQuAD"),
  }
  assert read["SQuAD"].curve.steps.tolist() == [2, 4, 6]
  assert read["SQuAD"].curve.losses.tolist() == list(found.values())
  assert read["SQuAD"].final == found[6]


def test_the_report_shows_it_and_how_soon_it_was_reached(done):
  root = pathlib.Path(done["evaluate"].bindings["EXPERIMENT"])
  results = json.loads((root / "results.json").read_text())
  assert not results["left_out"]
  assert {row["sampler"] for row in results["samplers"]} == {"full", "random"}
  for row in results["samplers"]:
    spent = row["convergence"]["SQuAD"]
    assert spent["steps"]["total"] == 1
    assert spent["tokens"]["restricted_mean"] == pytest.approx(
      spent["steps"]["restricted_mean"] * 4 * 48
    )
    assert row["suites"]["SQuAD"]["mean"] is not None
  page = (root / "report.md").read_text()
  assert "Until Full's final SQuAD" in page
  headers = [line for line in page.splitlines() if "Training tokens |" in line]
  assert any("| SQuAD |" in header for header in headers)
