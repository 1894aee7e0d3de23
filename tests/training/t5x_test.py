# SPDX-License-Identifier: Apache-2.0
"""Finding T5X, and logging what it measured; needs no T5X."""

import importlib
import os
import sys

import pytest

from data_efficient.training import loop, metrics, t5x_import, t5x_log


def test_search_path_of_checkouts_and_of_a_folder_of_them(tmp_path):
  for name in ("t5x", "airio", "jestimator"):
    (tmp_path / "all" / name / name).mkdir(parents=True)
  root = tmp_path / "all"
  three = [str(root / name) for name in ("t5x", "airio", "jestimator")]
  assert t5x_import.search_path(str(root)) == three
  assert t5x_import.search_path(os.pathsep.join(three)) == three
  assert t5x_import.search_path("") == []


def test_missing_t5x_says_what_to_do(monkeypatch, tmp_path):
  def missing(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name="airio")

  monkeypatch.setattr(importlib, "import_module", missing)
  monkeypatch.setattr(sys, "path", list(sys.path))
  monkeypatch.setenv("T5X_PATH", str(tmp_path))
  with pytest.raises(
    t5x_import.T5XError, match="module airio.*make t5x.*T5X_PATH"
  ):
    t5x_import.module("train")
  assert sys.path[0] == str(tmp_path)


def test_rows_are_those_of_the_local_engine(run_in):
  run = run_in("logged")
  log = t5x_log.Log(run, start=0)
  log.compiled(1.25)
  values = {"token_loss": 2.0, "tokens": 30, "timing/seconds": 0.5}
  log.trained(1, "train", values)
  log.trained(2, "train", values)
  log.close()
  first, second = metrics.read(run.directory)
  assert first["compile_seconds"] == 1.25 and "compile_seconds" not in second
  assert (first["seconds"], second["seconds"]) == (0.5, 1.0)
  assert (first["tokens"], second["tokens"]) == (30, 60)
  assert second["learning_rate"] == pytest.approx(float(run.schedule(1)))


def test_a_loss_that_is_not_finite_stops_the_run(run_in):
  log = t5x_log.Log(run_in("diverged"), start=0)
  values = {"token_loss": float("nan"), "tokens": 1, "timing/seconds": 0.1}
  with pytest.raises(loop.DivergedError, match="loss is nan at step 3"):
    log.trained(3, "train", values)
  log.close()
