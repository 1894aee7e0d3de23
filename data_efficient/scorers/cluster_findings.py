# SPDX-License-Identifier: Apache-2.0
"""What a pass over a pool's clusters found of each record, looked up by record.

The pieces of a pass are ordered by cluster, a part of a score set by record:
each part's records are spread over all pieces.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_efficient import progress
from data_efficient.scorers import cluster_files, clusters, interface
from data_efficient.scorers.working_files import Columns, WorkingFiles

# Of the clusters [first, last) of a pool, one after another, what was found of
# their members: "record", and other columns.
Find = Callable[[cluster_files.Partition, int, int], Iterable[Columns]]


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
    groups: how many pieces, at least 1.
    memory_bytes: what may be held of them at once.
  """

  def __init__(
    self, files: WorkingFiles, label: str, groups: int, *, memory_bytes: int
  ):
    self._files, self._label, self._groups = files, label, groups
    self._memory = memory_bytes
    self._window: Window | None = None

  def __getstate__(self) -> dict:
    """What goes to another process: it reads the pieces itself."""
    return {**self.__dict__, "_window": None}

  def of(self, batch: np.ndarray) -> tuple[Columns, list[str]]:
    """What was found of some records, and their statuses.

    Args:
      batch: n of `interface.Reads.NUMBERED_EMBEDDING`.

    Returns:
      The columns of the pass, n rows; zeros of a record that is not there. And
      for each "scored", or unscorable: NaN, infinite and zero vectors, and what
      is not in the pool.
    """
    records, statuses = batch["record"], clusters.statuses(batch["vector"])
    found = self._near(records) if len(records) else self._behind
    rows = np.searchsorted(found["record"], records)
    for row in np.flatnonzero(found["record"][rows] != records):
      if statuses[row] == interface.SCORED:
        statuses[row] = interface.unscorable("not in the pool")
    return {name: values[rows] for name, values in found.items()}, statuses

  def pieces(self) -> Iterator[Columns]:
    """Yields what was found, a group of clusters after another."""
    for number in range(self._groups):
      yield self._files.read(self._label, number)

  @functools.cached_property
  def _behind(self) -> Columns:
    """A row behind all others: of records that are none of the pool's."""
    piece = next(self.pieces())
    zeros = {name: np.zeros(1, values.dtype) for name, values in piece.items()}
    return zeros | {"record": np.full(1, np.iinfo(np.int64).max)}

  def _near(self, records: Int64[np.ndarray, " n"]) -> Columns:
    """What some records came to, with others, ascending.

    Those behind them are read along, as many as may be held: each window is
    spread over all pieces.
    """
    first, last = int(records.min()), int(records.max())
    window = self._window
    if window is None or not window.first <= first <= last < window.last:
      self._window = None  # before the next is there, too
      noted = sum(values.itemsize for values in self._behind.values())
      last = max(last + 1, first + self._memory // noted)
      window = self._window = Window(first, last, self._run(first, last))
    return window.found

  def _run(self, first: int, last: int) -> Columns:
    """What the records [first, last) came to, ascending."""
    runs = [self._behind]
    for piece in self.pieces():
      rows = slice(*np.searchsorted(piece["record"], [first, last]))
      runs.append({name: np.array(piece[name][rows]) for name in piece})
    return _by_record(runs)


def of_pool(
  read: interface.Read,
  find: Find,
  *,
  files: WorkingFiles,
  means: clusters.KMeans,
  memory_bytes: int,
  name: str,
  label: str,
) -> Findings:
  """Clusters a pool, and makes a pass over its clusters.

  Goes on where `files` were left.

  Args:
    read: of the pool.
    find: what is found of its records; goes to other processes.
    files: where the pieces are.
    means: how the pool is clustered.
    memory_bytes: of vectors that are held at once.
    name: of the scorer, for bars.
    label: of the pass.

  Raises:
    ClusterError: fewer usable vectors than clusters, or a pool that changed.
  """
  pool = cluster_files.Partition(
    files, means, memory_bytes=memory_bytes, name=name
  )
  pool.make(read)
  groups, kept = pool.groups(), f"{label}-{memory_bytes}"
  piece = functools.partial(_piece, pool, groups, find, f"{name}: {label}")
  files.each(kept, piece, len(groups))
  return Findings(files, kept, len(groups), memory_bytes=memory_bytes)


def _piece(
  pool: cluster_files.Partition,
  groups: Sequence[tuple[int, int]],
  find: Find,
  name: str,
  number: int,
) -> Columns:
  """What the records of a group of clusters came to."""
  first, last = groups[number]
  label = f"{name}, {number + 1} of {len(groups)}"
  found = find(pool, first, last)
  return _by_record([*progress.over(found, label, total=last - first)])


def _by_record(runs: Sequence[Columns]) -> Columns:
  """Rows of several runs, the records ascending."""
  found = cluster_files.joined(runs)
  order = np.argsort(found["record"])
  return {name: values[order] for name, values in found.items()}
