# SPDX-License-Identifier: Apache-2.0
"""Sizes of files that others remove meanwhile; see also artifacts_test.py."""

import os

from data_efficient.data import atomic_files


def test_a_file_that_goes_away_has_no_size(tmp_path, monkeypatch):
  for name, data in (("a", b"1"), ("b", b"22"), ("c", b"333")):
    atomic_files.atomic_write(tmp_path / name, data)
  (tmp_path / "folder").mkdir()
  scan = os.scandir

  class Scanned:
    """Entries of a directory, of which one is removed as they are read."""

    def __init__(self, path):
      self._found = scan(path)

    def __enter__(self):
      return self

    def __exit__(self, *unused):
      self._found.close()

    def __iter__(self):
      entries = list(self._found)
      (tmp_path / "b").unlink()
      return iter(entries)

  monkeypatch.setattr(os, "scandir", Scanned)
  assert atomic_files.sizes(tmp_path) == {"a": 1, "c": 3}
