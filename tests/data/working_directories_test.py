# SPDX-License-Identifier: Apache-2.0
"""Pieces of passes: made once, by whoever, and read as they were."""

import copy
import functools

import numpy as np
import pytest

from data_efficient import processes
from data_efficient.data import working_directories
from data_efficient.scorers import uniform, working_files

KINDS = (np.float16, np.float32, np.int32, np.int64)


def _piece(made, number):
  made.append(number)
  if number == 4:
    raise ValueError("power cut")
  found = {
    np.dtype(kind).name: np.arange(number, 9).astype(kind) for kind in KINDS
  }
  return {**found, "square": np.arange(6.0, dtype=np.float32).reshape(2, 3)}


def _same(found, number):
  expected = _piece([], number)
  assert found.keys() == expected.keys()
  for name, values in expected.items():
    assert found[name].dtype == values.dtype
    np.testing.assert_array_equal(found[name], values)


def _each(function, count):
  """In another order, and twice, as a cluster may; by what was sent there."""
  for number in [*range(count)][::-1] + [0][:count]:
    yield function(number)


@pytest.mark.parametrize("kind", ["memory", "alone", "pipeline"])
def test_pieces_are_made_once(tmp_path, kind):
  path = tmp_path / "working"
  files = {
    "memory": working_files.InMemory,
    "alone": lambda: working_directories.WorkingDirectory(path),
    "pipeline": lambda: working_directories.WorkingDirectory(path, each=_each),
  }[kind]()
  made = []
  with pytest.raises(ValueError, match="power cut"):
    files.each("some", functools.partial(_piece, made), 5)
  before = list(made)
  files.each("some", functools.partial(_piece, made), 4)
  files.each("some", functools.partial(_piece, made), 4)
  again = made[len(before) :]
  assert not set(again) & (set(before) - {4})
  assert set(made) == set(range(5))
  files.each("other", functools.partial(_piece, made), 1)
  for number in range(4):
    _same(files.read("some", number), number)
  if kind != "memory":
    _same(copy.deepcopy(files).read("other", 0), 0)
    names = {path.name for path in path.iterdir()}
    assert names == {f"some-{n:05d}.safetensors" for n in range(4)} | {
      "other-00000.safetensors"
    }


def test_processes_share_what_is_missing(tmp_path, monkeypatch):
  made = []
  function = functools.partial(_piece, made)
  monkeypatch.setattr(processes, "count", lambda: 2)
  monkeypatch.setattr(processes, "wait", lambda label: None)
  for own, expected in ((1, [2, 3]), (0, [0]), (1, [1]), (0, [])):
    monkeypatch.setattr(processes, "index", lambda own=own: own)
    files = working_directories.WorkingDirectory(tmp_path / "working")
    files.each("some", function, 4)
    assert made == expected
    made.clear()


def test_only_a_scorer_that_leaves_pieces_gets_a_place(tmp_path):
  scorer = uniform.Uniform()
  working_directories.keep_beside(tmp_path, scorer)
  assert not hasattr(scorer, "working_files")
  working_directories.remove(tmp_path)
  assert list(tmp_path.iterdir()) == []
