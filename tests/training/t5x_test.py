# SPDX-License-Identifier: Apache-2.0
"""Finding T5X, and saying so when it is not there; needs no T5X."""

import importlib
import os
import sys

import pytest

from data_efficient.training import t5x


def test_search_path_of_checkouts_and_of_a_folder_of_them(tmp_path):
  for name in ("t5x", "airio", "jestimator"):
    (tmp_path / "all" / name / name).mkdir(parents=True)
  root = tmp_path / "all"
  three = [str(root / name) for name in ("t5x", "airio", "jestimator")]
  assert t5x.search_path(str(root)) == three
  assert t5x.search_path(os.pathsep.join(three)) == three
  assert t5x.search_path("") == []


def test_missing_t5x_says_what_to_do(monkeypatch, tmp_path):
  def missing(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name="airio")

  monkeypatch.setattr(importlib, "import_module", missing)
  monkeypatch.setattr(sys, "path", list(sys.path))
  monkeypatch.setenv("T5X_PATH", str(tmp_path))
  with pytest.raises(t5x.T5XError, match="module airio.*make t5x.*T5X_PATH"):
    t5x._module("train")
  assert sys.path[0] == str(tmp_path)
