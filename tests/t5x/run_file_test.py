# SPDX-License-Identifier: Apache-2.0
"""The quickstart's own run file under T5X: the engine is one gin include."""

import dataclasses
import json

import numpy as np
import pytest

from data_efficient.models import checkpoints
from data_efficient.training import inference, metrics
from tests import quickstarts
from tests.quickstarts import run_job

LOCAL, T5X = "gin/engines/local.gin", "gin/engines/t5x.gin"
BINDINGS = {"STEPS": 4, "EVALUATION_PERIOD": 4}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
  """The job of a run, after the jobs that it needs."""
  root = tmp_path_factory.mktemp("run_file")
  files = quickstarts.write_corpus(root / "files")
  small = quickstarts.write_small(root / "gin")
  with pytest.MonkeyPatch.context() as monkeypatch:
    jobs = quickstarts.jobs(monkeypatch, root / "out", files, small)
  by_name = {job.name: job for job in jobs}
  last = by_name["train_random-0.4-0"]

  def closure(job):
    return {job.name}.union(*(closure(by_name[name]) for name in job.needs))

  for needed in jobs:
    if needed.name in closure(last) - {last.name}:
      assert run_job(needed) == 0
  return last


def _with(job, *files, engine=LOCAL, verb="train"):
  named = [engine if path == LOCAL else path for path in job.gin_files]
  assert engine in named
  return dataclasses.replace(job, verb=verb, gin_files=[*named, *files])


def _evaluations(directory):
  rows = [row for row in metrics.read(directory) if "evaluation" in row]
  return {(row["step"], row["evaluation"]): row["loss"] for row in rows}


@pytest.fixture(scope="module")
def trained(job, tmp_path_factory):
  """The run, by each engine."""
  root = tmp_path_factory.mktemp("trained")
  for name, engine in (("local", LOCAL), ("t5x", T5X)):
    output = str(root / name)
    assert run_job(_with(job, engine=engine), OUTPUT=output, **BINDINGS) == 0
  return root


def test_the_same_run_file_trains_under_both(trained):
  for name in ("local", "t5x"):
    facts = json.loads((trained / name / "run.json").read_text())
    assert facts["engine"] == name and facts["steps"] == 4
    losses = _evaluations(trained / name)
    assert {step for step, _ in losses} == {0, 4}
    assert np.isfinite(list(losses.values())).all()
    assert checkpoints.latest_step(trained / name / "checkpoints") == 4


def test_t5x_fine_tunes_what_the_local_engine_trained(job, trained):
  tuned = _with(job, "gin/runs/finetune.gin", engine=T5X)
  bindings = {"INITIAL_CHECKPOINT": str(trained / "local"), **BINDINGS}
  assert run_job(tuned, OUTPUT=str(trained / "tuned"), **bindings) == 0
  before = _evaluations(trained / "local")
  after = _evaluations(trained / "tuned")
  for label in ("hq", "in_distribution"):
    assert after[0, label] == pytest.approx(before[4, label], rel=1e-5)
  rates = [row.get("learning_rate") for row in metrics.read(trained / "tuned")]
  assert {rate for rate in rates if rate} == {float(np.float32(0.001))}


def test_both_engines_infer_the_same(job, trained):
  found = {}
  for name, engine in (("local", LOCAL), ("t5x", T5X)):
    output = str(trained / f"inferred_{name}")
    asked = _with(job, "gin/runs/infer.gin", engine=engine, verb="infer")
    bindings = {"CHECKPOINT": str(trained / "t5x"), "OUTPUT": output}
    assert run_job(asked, **BINDINGS, **bindings) == 0
    found[name] = inference.read(output)
  scores = {k: [row.pop("score") for row in v] for k, v in found.items()}
  assert found["local"] == found["t5x"] and len(found["t5x"]) >= 3
  np.testing.assert_allclose(scores["local"], scores["t5x"], rtol=1e-5)
  # Done is done; and other inferences do not go into the same place.
  assert run_job(asked, **BINDINGS, **bindings) == 0
  assert run_job(asked, **BINDINGS, **bindings, MODE="predict") == 2
