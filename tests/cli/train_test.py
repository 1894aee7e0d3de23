# SPDX-License-Identifier: Apache-2.0
"""What `train` records, and that the serving changes the order alone."""

import json
import pathlib

from data_efficient.data import artifacts
from tests import quickstarts


def _facts(directory):
  return json.loads(pathlib.Path(directory, "run.json").read_text())


def test_a_run_by_index_is_comparable_with_one_by_the_filter(
  experiment, tmp_path
):
  job = experiment.jobs["train_random-0.4-0"]
  filtered = _facts(experiment.root / "runs" / "random-0.4-0")
  output = tmp_path / "run"
  assert quickstarts.run_job(job, OUTPUT=str(output), SERVING="index") == 0
  indexed = _facts(output)
  compared_by = indexed["compared_by"]
  assert compared_by == filtered["compared_by"]
  assert compared_by["network"]["emb_dim"] == 16
  assert compared_by["task_feature_lengths"]["inputs"] == 48
  sets = compared_by["evaluation_sets"]
  assert set(sets) == {"hq", "in_distribution"}
  assert len({*sets.values(), compared_by["vocabulary"]}) == 3
  corpus = artifacts.read_manifest(experiment.root / "corpus/index", kind=None)
  assert compared_by["corpus"] == corpus.summary["fingerprint"]
  for name in ("kept_records", "kept_tokens", "steps"):
    assert indexed[name] == filtered[name]
  # The same evaluation batches: before the first step, the same losses.
  before = [_first_losses(experiment.root / "runs" / "random-0.4-0")]
  assert before == [_first_losses(output)]


def _first_losses(directory):
  lines = pathlib.Path(directory, "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  return {
    row["evaluation"]: row["loss"]
    for row in rows
    if row["step"] == 0 and "evaluation" in row
  }
