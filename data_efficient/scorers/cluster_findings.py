# SPDX-License-Identifier: Apache-2.0
"""What a pass over a pool's clusters found of each record, looked up by record.

The pieces of a pass are ordered by cluster, a part of a score set by record:
each part's records are spread over all pieces.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_efficient.scorers import cluster_files, interface
from data_efficient.scorers.working_files import Columns, WorkingFiles

_NOTED = 24  # bytes of what is noted of a record


class Window(NamedTuple):
  """What the records [first, last) came to, those of the pool ascending."""

  first: int
  last: int
  found: Columns


class Findings:
  """Where it lies what the pool's records came to.

  Args:
    files: the pieces.
    label: name of the pass: of each group of clusters its records, ascending,
      in "record", and what was found of them in other columns.
    groups: how many pieces.
    memory_bytes: what may be held of them at once.
    absent: those other columns, one row each: of a record that is not there.
  """

  def __init__(
    self,
    files: WorkingFiles,
    label: str,
    groups: int,
    *,
    memory_bytes: int,
    absent: Columns,
  ):
    self._files, self._label, self._groups = files, label, groups
    self._records_held = memory_bytes // _NOTED
    # A row more, behind all others: of records that are none of the pool's.
    behind = {"record": np.full(1, np.iinfo(np.int64).max), **absent}
    self._behind = behind
    self._window: Window | None = None

  def __getstate__(self) -> dict:
    """What goes to another process: it reads the pieces itself."""
    return {**self.__dict__, "_window": None}

  def of(
    self, records: Int64[np.ndarray, " n"], statuses: list[str]
  ) -> tuple[Columns, Int64[np.ndarray, " n"]]:
    """Columns, and in which of their rows each record is.

    Args:
      records: their numbers in the corpus, at least one.
      statuses: of these; a scored one that is not there becomes
        unscorable(not in the pool).
    """
    found = self._near(records)
    rows = np.searchsorted(found["record"], records)
    for row in np.flatnonzero(found["record"][rows] != records):
      if statuses[row] == interface.SCORED:
        statuses[row] = interface.unscorable("not in the pool")
    return found, rows

  def _near(self, records: Int64[np.ndarray, " n"]) -> Columns:
    """What some records came to, with others, ascending.

    Those behind them are read along, as many as may be held: each window is
    spread over all pieces.
    """
    first, last = int(records.min()), int(records.max())
    window = self._window
    if window is None or not window.first <= first <= last < window.last:
      self._window = None  # before the next is there, too
      last = max(last + 1, first + self._records_held)
      window = self._window = Window(first, last, self._run(first, last))
    return window.found

  def _run(self, first: int, last: int) -> Columns:
    """What the records [first, last) came to, ascending."""
    runs = [self._behind]
    for number in range(self._groups):
      piece = self._files.read(self._label, number)
      rows = slice(*np.searchsorted(piece["record"], [first, last]))
      runs.append({name: np.array(piece[name][rows]) for name in piece})
    return by_record(runs)


def by_record(runs: Sequence[Columns]) -> Columns:
  """Rows of several runs, the records ascending."""
  found = cluster_files.joined(runs)
  order = np.argsort(found["record"])
  return {name: values[order] for name, values in found.items()}
