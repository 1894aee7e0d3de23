# SPDX-License-Identifier: Apache-2.0
"""The quickstart's own run file under T5X: the engine is one gin include."""

import dataclasses
import json

import numpy as np

from data_efficient.models import checkpoints
from data_efficient.training import metrics
from tests.quickstarts import run_job


def _with_engine(job, engine: str):
  local = "gin/engines/local.gin"
  files = [engine if path == local else path for path in job.gin_files]
  assert engine in files
  return dataclasses.replace(job, gin_files=files)


def _evaluations(directory):
  rows = [row for row in metrics.read(directory) if "evaluation" in row]
  return {(row["step"], row["evaluation"]): row["loss"] for row in rows}


def test_the_same_run_file_trains_under_t5x(experiment, tmp_path):
  job = _with_engine(
    experiment.jobs["train_random-0.4-0"], "gin/engines/t5x.gin"
  )
  output = tmp_path / "t5x"
  bindings = {"OUTPUT": str(output), "STEPS": 5, "EVALUATION_PERIOD": 5}
  assert run_job(job, **bindings) == 0
  facts = json.loads((output / "run.json").read_text())
  assert facts["engine"] == "t5x" and facts["steps"] == 5
  losses = _evaluations(output)
  assert {step for step, _ in losses} >= {5}
  assert np.isfinite(list(losses.values())).all()
  last = checkpoints.latest_step(str(output / "checkpoints"))
  assert last == 5
