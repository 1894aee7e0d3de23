# SPDX-License-Identifier: Apache-2.0
"""A scorer's pieces between its passes: files in its score set's directory.

Each is a safetensors file, whole or not there. They are removed when the score
set is finished; until then a run that was killed goes on from them.
"""

import collections
import functools
import json
import mmap
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import safetensors.numpy

from data_efficient import processes
from data_efficient.data import artifacts
from data_efficient.scorers import interface, working_files
from data_efficient.scorers.working_files import Columns
from data_efficient.selection import passes

NAME = "working"  # of the folder in a score set's directory
_TYPES = {"F16": "<f2", "F32": "<f4", "I32": "<i4", "I64": "<i8"}


class WorkingDirectory:
  """Pieces in a folder; several processes, or a pipeline's workers, share it.

  Args:
    path: of the folder.
    each: what makes passes by pipelines; None: this process and its like do.
  """

  def __init__(
    self, path: artifacts.PathLike, *, each: passes.Each | None = None
  ):
    self._path, self._each = pathlib.Path(path), each

  def each(
    self, label: str, function: Callable[[int], Columns], count: int
  ) -> None:
    """Makes the pieces that are not there; see `working_files`."""
    self._path.mkdir(exist_ok=True)
    missing = [n for n in range(count) if not self._place(label, n).exists()]
    # Nobody writes before all have seen what is missing.
    processes.wait(f"{label} listed")
    make = functools.partial(self._make, label, function, missing)
    numbers = range(len(missing))
    if self._each:
      # What it gives is in the pieces' files.
      collections.deque(self._each(make, len(missing)), maxlen=0)
    else:
      for number in processes.share(numbers):
        make(number)
    processes.wait(f"{label} made")

  def read(self, label: str, number: int) -> Columns:
    """A piece, mapped: of its arrays, what is looked at is read.

    The file is open as long as one of them is held.
    """
    return _mapped(self._place(label, number))

  def _make(
    self,
    label: str,
    function: Callable[[int], Columns],
    missing: Sequence[int],
    number: int,
  ) -> tuple[np.ndarray, ...]:
    piece = missing[number]
    found = {
      name: np.ascontiguousarray(values)
      for name, values in function(piece).items()
    }
    data = safetensors.numpy.save(found)
    artifacts.atomic_write(self._place(label, piece), data)
    return ()

  def _place(self, label: str, number: int) -> pathlib.Path:
    return self._path / f"{label}-{number:05d}.safetensors"


def keep_beside(
  scores: artifacts.PathLike,
  scorer: interface.Scorer,
  each: passes.Each | None = None,
) -> None:
  """Lets a scorer that leaves pieces keep them in its score set's directory.

  Args:
    scores: the directory.
    scorer: any scorer; those that leave none are left alone.
    each: what makes passes by pipelines; None: this process and its like do.
  """
  if isinstance(scorer, working_files.KeepsFiles):
    folder = pathlib.Path(scores) / NAME
    scorer.working_files = WorkingDirectory(folder, each=each)


def remove(scores: artifacts.PathLike) -> None:
  """Removes what a finished score set needs no more."""
  # On a network's disk other processes may still have them open.
  shutil.rmtree(pathlib.Path(scores) / NAME, ignore_errors=True)


def _mapped(path: pathlib.Path) -> Columns:
  """The arrays of a file: header's length, header, data (safetensors)."""
  with open(path, "rb") as file:
    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  start = 8 + int.from_bytes(data[:8], "little")
  found = {}
  for name, facts in json.loads(data[8:start]).items():
    kind, shape = np.dtype(_TYPES[facts["dtype"]]), facts["shape"]
    values = np.frombuffer(
      data, kind, int(np.prod(shape)), start + facts["data_offsets"][0]
    )
    found[name] = values.reshape(shape)
  return found
