# SPDX-License-Identifier: Apache-2.0
"""Who counts the parts of a density sketch, and the files that keep it.

Counters are integers: sketches of different parts add up to the bytes that one
process would have written, in any order. Where several count, each keeps what
it has counted in a file of its own, `sketch-NUMBER`, beside the one file,
`sketch`. Whoever begins next puts what it finds of these into the one file:
how many there were, and where they were killed, does not matter.
"""

import collections
import functools
import pathlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient import processes
from data_efficient.data import artifacts, manifests, sketches
from data_efficient.scorers import interface, sketch_store
from data_efficient.scorers.sketch_store import Absorbed, Count
from data_efficient.selection import passes

NAME = "sketch"  # of the file in a score set's directory
SECONDS = 60.0  # between two writes
# Files of a pipeline: the paper's sketch is up to 80 MB.
_PIECES = 256
_PIECE = re.compile(rf"{NAME}-\d+")


class FileStore:
  """Keeps pass 1 of a scorer in a file; this process counts.

  Args:
    path: the file; its directory exists.
    identity: what the sketch is made from, JSON-able.
    seconds: between two writes.
  """

  def __init__(
    self,
    path: artifacts.PathLike,
    *,
    identity: Mapping[str, Any],
    seconds: float = SECONDS,
  ):
    self._path = pathlib.Path(path)
    self._identity = manifests.plain(dict(identity), "identity")
    self._seconds = seconds
    self._kept_at = time.monotonic()

  def load(self) -> Absorbed | None:
    """What the file holds; None without one.

    Raises:
      ArtifactError: it was made from something else (names what), or is
        damaged.
    """
    kept = self._read(self._path) if self._path.exists() else None
    return kept and kept.absorbed

  def due(self) -> bool:
    """Whether the last write is long ago."""
    return time.monotonic() - self._kept_at >= self._seconds

  def keep(self, absorbed: Absorbed) -> None:
    """Replaces the file."""
    sketches.write(self._path, sketches.Kept(self._identity, absorbed))
    self._kept_at = time.monotonic()

  def begin(self, begin: Callable[[], Absorbed]) -> Absorbed:
    """What the files hold; if there are none, what `begin` returns."""
    return self.gathered() or begin()

  def complete(self, begun: Absorbed, count: Count) -> Absorbed:
    """The sketch of all parts, counted here."""
    return count(begun, None, self)

  def gathered(self) -> Absorbed | None:
    """What this file and those beside it hold, put into this one."""
    found = self._read(self._path) if self._path.exists() else None
    pieces = sorted(
      path
      for path in self._path.parent.glob(f"{NAME}-*")
      if _PIECE.fullmatch(path.name)
    )
    for path in pieces:
      piece = self._read(path)
      if found is None:
        found = piece
      # Where both have a part, the piece was put in before a kill.
      elif not set(piece.absorbed.parts) & set(found.absorbed.parts):
        found = sketches.merged(found, piece)
    if pieces:
      self.keep(found.absorbed)
    for path in pieces:
      path.unlink()
    return found and found.absorbed

  def piece(self, number: int) -> "FileStore":
    """One of the files beside it, by its number."""
    return FileStore(
      self._path.with_name(f"{NAME}-{number:05d}"),
      identity=self._identity,
      seconds=self._seconds,
    )

  def _read(self, path: pathlib.Path) -> sketches.Kept:
    kept = sketches.read(path)
    artifacts.check_identity(path, kept.identity, self._identity)
    return kept


class ProcessesStore(FileStore):
  """The same, of several processes, which share the parts.

  Args:
    parts: of the pool.
    **settings: as of `FileStore`.
  """

  def __init__(self, path: artifacts.PathLike, *, parts: int, **settings: Any):
    super().__init__(path, **settings)
    self._parts = parts

  def begin(self, begin: Callable[[], Absorbed]) -> Absorbed:
    """The same for all: what the first process finds, or begins with."""
    if processes.is_first():
      begun = self.gathered()
      if begun is None:
        begun = begin()
        self.keep(begun)
    processes.wait("sketch begun")
    return self.load()

  def complete(self, begun: Absorbed, count: Count) -> Absorbed:
    """The sketch of all parts, of which this process counts its share."""
    own = processes.share(_missing(begun, self._parts))
    count(_nothing(begun), own, self.piece(processes.index()))
    processes.wait("sketch counted")
    if processes.is_first():
      self.gathered()
    processes.wait("sketch gathered")
    return self.load()


class PipelineStore(FileStore):
  """The same, of the workers of a pipeline.

  Args:
    parts: of the pool.
    each: makes the pass; see `pipelines.each`.
    **settings: as of `FileStore`.
  """

  def __init__(
    self,
    path: artifacts.PathLike,
    *,
    parts: int,
    each: passes.Each,
    **settings: Any,
  ):
    super().__init__(path, **settings)
    self._parts, self._each = parts, each

  def begin(self, begin: Callable[[], Absorbed]) -> Absorbed:
    """As of `FileStore`; kept, for the workers to read."""
    begun = self.gathered()
    if begun is None:
      begun = begin()
      self.keep(begun)
    return begun

  def complete(self, begun: Absorbed, count: Count) -> Absorbed:
    """The sketch of all parts, counted by the workers."""
    missing = np.array(_missing(begun, self._parts), np.int64)
    groups = np.array_split(missing, min(_PIECES, len(missing)))
    counted = functools.partial(_count_group, self, count, groups)
    # What they counted is in their files.
    collections.deque(self._each(counted, len(groups)), maxlen=0)
    return self.gathered()


def keep_beside(
  scores: artifacts.PathLike,
  scorer: interface.Scorer,
  identity: Mapping[str, Any],
  records: Callable[[], int],
  each: passes.Each | None = None,
) -> None:
  """Lets a scorer that makes a sketch keep it in its score set's directory.

  Args:
    scores: the directory.
    scorer: any scorer; those without a sketch are left alone.
    identity: the score set's.
    records: how many the pool has.
    each: what makes passes by pipelines; None: this process and its like do.
  """
  if not isinstance(scorer, sketch_store.KeepsSketch):
    return
  size = scorer.part_records
  path, of = pathlib.Path(scores) / NAME, {**identity, "part_records": size}
  if each:
    parts = -(-records() // size)
    store = PipelineStore(path, identity=of, parts=parts, each=each)
  elif processes.count() > 1:
    parts = -(-records() // size)
    store = ProcessesStore(path, identity=of, parts=parts)
  else:
    store = FileStore(path, identity=of)
  scorer.sketch_store = store


def _count_group(
  store: FileStore, count: Count, groups: Sequence[np.ndarray], number: int
) -> tuple[np.ndarray, ...]:
  """On a worker: counts a group of parts into a file of its own."""
  own = groups[number].tolist()
  # By its first part, which no other group has, also of an earlier run.
  count(_nothing(store.load()), own, store.piece(own[0]))
  return ()


def _missing(begun: Absorbed, parts: int) -> list[int]:
  done = set(begun.parts)
  return [number for number in range(parts) if number not in done]


def _nothing(begun: Absorbed) -> Absorbed:
  """A sketch of the same pool, with nothing counted."""
  return begun._replace(parts=(), counts=np.zeros_like(begun.counts), total=0)
