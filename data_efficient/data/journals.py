# SPDX-License-Identifier: Apache-2.0
"""What was written since the manifest was: a line for each part, appended.

A manifest that is rewritten for each of its parts costs the square of their
number. So each writer of a growing artifact appends to a journal of its own;
opening and finishing the artifact put all journals into the manifest.
"""

import fnmatch
import json
import os
import pathlib
import threading
from typing import Any

_NAME = "journal-{:05d}.jsonl"
_PATTERN = "journal-*.jsonl"

Parts = dict[str, dict[str, Any]]


class Journal:
  """One writer's journal; the file appears with the first entry.

  Several threads may enter parts: the disk then has them all at once.

  Args:
    directory: the artifact.
    member: which of the artifact's writers, from 0.
  """

  def __init__(self, directory: pathlib.Path, member: int):
    self._path = directory / _NAME.format(member)
    self._descriptor: int | None = None
    self._opening = threading.Lock()

  def enter(self, part: str, facts: dict[str, Any]) -> None:
    """Appends a part's facts; on disk when this returns."""
    line = json.dumps({"part": part, "facts": facts}, sort_keys=True) + "\n"
    with self._opening:
      if self._descriptor is None:
        self._descriptor = os.open(
          self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )
    os.write(self._descriptor, line.encode("utf-8"))
    os.fsync(self._descriptor)

  def close(self) -> None:
    """Lets go of the file. May be called twice."""
    if self._descriptor is not None:
      os.close(self._descriptor)
      self._descriptor = None


def read(directory: pathlib.Path) -> Parts:
  """The parts of all journals by name; a line cut short is no entry."""
  parts: Parts = {}
  for path in sorted(directory.glob(_PATTERN)):
    for line in path.read_bytes().split(b"\n")[:-1]:
      entry = json.loads(line)
      parts[entry["part"]] = entry["facts"]
  return parts


def is_one(name: str) -> bool:
  """Whether a file of this name would be taken for a journal."""
  return fnmatch.fnmatch(name, _PATTERN)


def remove(directory: pathlib.Path) -> None:
  """Removes all journals."""
  for path in directory.glob(_PATTERN):
    path.unlink(missing_ok=True)
