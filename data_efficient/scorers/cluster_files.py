# SPDX-License-Identifier: Apache-2.0
"""A pool of embeddings by clusters, in pieces that fit into memory.

Three passes, each of numbered pieces (`working_files`):

  centroids    one piece: k-means of a sample, and where in the pool how many
               usable vectors are
  assigned     of each stretch of the pool its vectors, ordered by cluster
  (of a caller) of each group of neighbouring clusters what is made of them

The blocks in which vectors are compared with the centroids are cut from the
pool's first usable vector on, so that the bits of a cosine do not depend on how
much memory there is, or who computes it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from data_efficient.scorers import clusters, interface, vectors
from data_efficient.scorers.working_files import Columns, WorkingFiles


class Cluster(NamedTuple):
  """The members of a cluster, the farthest from the centroid first.

  Attributes:
    records: their numbers in the corpus.
    vectors: unit vectors [n, d]; slices of it are arrays.
    held: whether they are in memory.
  """

  records: Int64[np.ndarray, " n"]
  vectors: "Float[np.ndarray, 'n d'] | Gathered"
  held: bool


class Partition:
  """A pool by clusters.

  Args:
    files: where the pieces are.
    means: how the pool is clustered.
    memory_bytes: of a stretch's vectors, and of the largest cluster that is
      held; at least one block.
    name: of the scorer, for bars.
  """

  def __init__(
    self,
    files: WorkingFiles,
    means: clusters.KMeans,
    *,
    memory_bytes: int,
    name: str,
  ):
    self._files, self._means = files, means
    self._memory, self._name = memory_bytes, name

  def __getstate__(self) -> dict[str, Any]:
    """What goes to another process: it reads the centroids itself."""
    return {n: v for n, v in self.__dict__.items() if n != "_marks"}

  def make(self, read: interface.Read) -> None:
    """Makes the first two passes.

    Raises:
      ClusterError: fewer usable vectors than clusters, or a pool that changed.
    """
    self.fit(read)
    assign = functools.partial(self._assigned, read)
    self._files.each(self._assignment, assign, self.stretches)

  def fit(self, read: interface.Read) -> Float[np.ndarray, "k d"]:
    """Makes the first pass; returns the centroids."""
    fitted = functools.partial(_fitted, read, self._means, self._name)
    self._files.each("centroids", fitted, 1)
    return self._marks["vectors"]

  @functools.cached_property
  def _marks(self) -> Columns:
    return self._files.read("centroids", 0)

  @functools.cached_property
  def _row_bytes(self) -> int:
    return int(self._marks["row_bytes"][0])

  @functools.cached_property
  def _size(self) -> int:
    """Usable vectors of a stretch: whole blocks."""
    block = self._means.block
    return max(1, self._memory // (self._row_bytes * block)) * block

  @property
  def stretches(self) -> int:
    """How many there are."""
    return -(-int(self._marks["usable"][-1]) // self._size)

  @property
  def _assignment(self) -> str:
    return f"assigned-{self._size}"

  def groups(self) -> list[tuple[int, int]]:
    """Clusters [first, last) that are in memory together; or one."""
    sizes = sum(np.diff(self._stretch(n)["starts"]) for n in self._numbers)
    found, members = [(0, 0)], 0
    for label, size in enumerate(sizes.tolist()):
      members += size
      if members > self._held and found[-1][0] < label:
        found.append((label, label))
        members = size
      found[-1] = (found[-1][0], label + 1)
    return found

  def clusters(self, first: int, last: int) -> Iterator[Cluster]:
    """Yields the clusters of a group, empty ones too."""
    found, order, ends = self._ordered(first, last)
    held = len(order) <= self._held
    pieces = [
      functools.partial(self._vectors, n, first, last) for n in self._numbers
    ]
    if held:
      rows = np.concatenate([piece() for piece in pieces])
    for start, end in itertools.pairwise(ends):
      own = order[start:end]
      yield Cluster(
        found["record"][own],
        clusters.unit_rows(rows[own])
        if held
        else Gathered(pieces, found["pieces"], own),
        held,
      )

  def members(self, first: int, last: int) -> Iterator[Int64[np.ndarray, " n"]]:
    """Yields the records of each cluster of a group, the farthest first."""
    found, order, ends = self._ordered(first, last)
    for start, end in itertools.pairwise(ends):
      yield found["record"][order[start:end]]

  def _ordered(
    self, first: int, last: int
  ) -> tuple[Columns, np.ndarray, np.ndarray]:
    """A group's keys, their rows in order, and where clusters begin and end."""
    found = joined([self._keys(n, first, last) for n in self._numbers])
    order = np.lexsort((found["record"], found["cosine"], found["label"]))
    ends = np.searchsorted(found["label"][order], np.arange(first, last + 1))
    return found, order, ends

  @property
  def _numbers(self) -> range:
    return range(self.stretches)

  @property
  def _held(self) -> int:
    """Vectors that are held at once, at most."""
    return max(1, self._memory // self._row_bytes)

  def _stretch(self, number: int) -> Columns:
    return self._files.read(self._assignment, number)

  def _keys(self, number: int, first: int, last: int) -> Columns:
    """Of a stretch, what clusters are ordered by."""
    piece = self._stretch(number)
    starts = piece["starts"][first : last + 1]
    rows = slice(starts[0], starts[-1])
    return {
      "record": np.array(piece["record"][rows]),
      "cosine": np.array(piece["cosine"][rows]),
      "label": np.repeat(np.arange(first, last), np.diff(starts)),
      "pieces": np.full(rows.stop - rows.start, number),
    }

  def _vectors(self, number: int, first: int, last: int) -> np.ndarray:
    """Of a stretch, the vectors of some clusters; on the disk, perhaps."""
    piece = self._stretch(number)
    return piece["vector"][slice(*piece["starts"][[first, last]])]

  def _assigned(self, read: interface.Read, number: int) -> Columns:
    """A stretch, ordered by cluster."""
    found = self._pool(read, number)
    labels, cosines = self._nearest(found["vector"])
    order = np.argsort(labels, kind="stable")
    count = np.arange(self._means.clusters + 1)
    return {
      "starts": np.searchsorted(labels[order], count).astype(np.int64),
      "record": found["record"][order],
      "cosine": cosines[order],
      "vector": found["vector"][order],
    }

  def _pool(self, read: interface.Read, number: int) -> np.ndarray:
    """The usable vectors of a stretch, numbered."""
    marks, usable = self._marks, self._marks["usable"]
    first = number * self._size
    last = min(first + self._size, int(usable[-1]))
    begin = int(np.searchsorted(usable, first, side="right")) - 1
    end = int(np.searchsorted(usable, last))
    whole = self.stretches == 1
    blocks = (
      read("pool")
      if whole
      else read("pool", int(marks["rows"][begin]), int(marks["rows"][end]))
    )
    rows = [block[vectors.usable(block["vector"])] for block in blocks]
    skipped = first - int(usable[begin])
    found = np.concatenate(rows)[skipped : skipped + last - first]
    if len(found) != last - first:
      raise clusters.ClusterError(
        f"{len(found):,} usable vectors where there were {last - first:,} when "
        "the pool was clustered: the embeddings changed; start in a new "
        "directory"
      )
    return found

  def _nearest(
    self, pool: np.ndarray
  ) -> tuple[np.ndarray, Float32[np.ndarray, " n"]]:
    """Each vector's cluster, and the cosine to its centroid."""
    block, centroids = self._means.block, self._marks["vectors"]
    parts = [
      self._means.assign(centroids, clusters.unit_rows(pool[at : at + block]))
      for at in range(0, len(pool), block)
    ]
    labels, cosines = zip(*parts, strict=True)
    return np.concatenate(labels), np.concatenate(cosines)


class Gathered:
  """Unit vectors that are read from several pieces when they are looked at.

  Args:
    pieces: each reads some vectors [n, d], perhaps none.
    sources: which piece each vector of theirs is of, one behind another.
    order: of these, those that are wanted.
  """

  def __init__(
    self,
    pieces: Sequence[Callable[[], np.ndarray]],
    sources: Int64[np.ndarray, " m"],
    order: Int64[np.ndarray, " n"],
  ):
    self._pieces, self._sources, self._order = pieces, sources, order
    self._starts = np.searchsorted(sources, np.arange(len(pieces)))

  def __len__(self) -> int:
    return len(self._order)

  def __getitem__(self, rows: slice) -> Float[np.ndarray, "k d"]:
    wanted = self._order[rows]
    by_piece = np.argsort(self._sources[wanted], kind="stable")
    wanted = wanted[by_piece]
    numbers, starts = np.unique(self._sources[wanted], return_index=True)
    parts = [
      self._pieces[number]()[own - self._starts[number]]
      for number, own in zip(numbers, np.split(wanted, starts[1:]), strict=True)
    ]
    found = np.concatenate(parts)
    return clusters.unit_rows(found[np.argsort(by_piece)])


def joined(runs: Sequence[Columns]) -> Columns:
  """Rows of the same columns, one run behind another."""
  return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def _fitted(
  read: interface.Read, means: clusters.KMeans, name: str, number: int
) -> Columns:
  """Centroids; and of each block of the pool where it begins."""
  del number  # there is one
  rows, usable, sizes = [0], [0], []

  def seen():
    for block in read("pool"):
      found = block["vector"]
      rows.append(rows[-1] + len(found))
      usable.append(usable[-1] + int(vectors.usable(found).sum()))
      sizes.append(found.dtype.itemsize * found.shape[1])
      yield found

  centroids = means.fit(seen(), name=name)
  return {
    "vectors": centroids,
    "rows": np.array(rows, np.int64),
    "usable": np.array(usable, np.int64),
    "row_bytes": np.array(sizes[:1], np.int64),
  }
