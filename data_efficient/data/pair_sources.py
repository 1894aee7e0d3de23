# SPDX-License-Identifier: Apache-2.0
"""Where submodular selection takes its kernels from.

Utility kernels on disk (DELIFT), or cosines of an embedding set: DELIFT(SE) of
that paper, and with some neighbours a record alone what fits where a dense
kernel does not.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int, Int64

from data_efficient.data import (
  embedding_sets,
  prepared,
  score_sets,
  utility_kernels,
)
from data_efficient.kernels import neighbours
from data_efficient.selection import objectives, pairwise
from data_efficient.selection.interface import SelectionError
from data_efficient.selection.pairwise import POOL, Kernel


class Examples(NamedTuple):
  """What can be chosen, in the order of a kernel's columns.

  Attributes:
    shard: name of each one's shard.
    position: in it.
    columns: their columns in the kernel as it is stored.
  """

  shard: list[str]
  position: Int64[np.ndarray, " j"]
  columns: Int64[np.ndarray, " j"]


class Pairs(NamedTuple):
  """Kernels of some examples.

  Attributes:
    examples: of their columns.
    kernel: of the pool, or of queries and the pool.
    beside: the second one, where there is one.
  """

  examples: Examples
  kernel: Kernel
  beside: Kernel | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utilities:
  """Utility kernels.

  Attributes:
    kernel: directory of the kernel whose examples are the pool.
    beside: directory of the second one, for an objective that reads two.
    transform: "clip" (at 0), "minmax" (one scale for both kernels), "exp" or
      "raw".
  """

  kernel: str
  beside: str | None
  transform: str

  def identity(self) -> dict[str, Any]:
    """What the kernels were made from, and how they are read."""
    found = {"kernel": _open(self.kernel).identity}
    if self.beside:
      found["beside"] = _open(self.beside).identity
    return {**found, "transform": self.transform}

  def axis(self) -> utility_kernels.Axis:
    """The records that can be chosen."""
    return _open(self.kernel).examples

  def examples(self, allowed: np.ndarray) -> Examples:
    """Those that are allowed, and have a utility for some target.

    Args:
      allowed: bool, for each record of `axis`.
    """
    axis = self.axis()
    columns = np.flatnonzero(allowed & axis.scorable)
    shards = [axis.files[column] for column in columns.tolist()]
    return Examples(shards, axis.positions[columns], columns)

  def pairs(self, objective: objectives.Objective, examples: Examples) -> Pairs:
    """Reads the kernels.

    Raises:
      ArtifactError: a damaged one, or an unknown transform.
    """
    kernel = _open(self.kernel)
    beside = _open(self.beside) if self.beside else None
    both = [kernel] if beside is None else [kernel, beside]
    transform = self.transform
    if transform == "minmax":
      transform = utility_kernels.min_max(both)
    pool, columns = kernel.examples, examples.columns
    found = [
      _read(each, self._names(each, pool, objective), columns, transform)
      for each in both
    ]
    return Pairs(examples, found[0], found[1] if beside else None)

  def _names(
    self,
    kernel: utility_kernels.UtilityKernel,
    pool: utility_kernels.Axis,
    objective: objectives.Objective,
  ) -> tuple[str, str]:
    """Which records its axes are, by the records themselves."""
    others = {*objective.main, *(objective.beside or ()), POOL} - {POOL}
    other = min(others, default=pairwise.QUERIES)
    return tuple(
      POOL if _same(axis, pool) else other
      for axis in (kernel.targets, kernel.examples)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosines:
  """Cosines of embeddings.

  Attributes:
    embeddings: directory of the corpus's embedding set.
    beside: directory of that of the target set, or of what is known, for
      objectives that need it.
    neighbours: how many pairs a target keeps; None: all.
  """

  embeddings: str
  beside: str | None
  neighbours: int | None

  def identity(self) -> dict[str, Any]:
    """What the vectors were made from, and how many neighbours are read."""
    found = {"embeddings": _scorer(self.embeddings)}
    if self.beside:
      found["beside"] = _scorer(self.beside)
    return {**found, "neighbours": self.neighbours}

  def examples(self, corpus: prepared.Prepared) -> Examples:
    """Records of the corpus's pool that have a vector."""
    vectors = embedding_sets.EmbeddingSet.open(self.embeddings)
    vectors.check_corpus(corpus.index.describe())
    shards, positions = [], []
    for shard in corpus.index.shards:
      rows = np.flatnonzero(corpus.pool_mask(shard))
      for start, block in _blocks(vectors, shard, rows):
        there = rows[start : start + len(block)]
        there = there[~np.isnan(block).any(axis=1)]
        shards += [shard] * len(there)
        positions.append(there)
    position = np.concatenate([np.zeros(0, np.int64), *positions])
    return Examples(shards, position, np.arange(len(position)))

  def pairs(self, objective: objectives.Objective, examples: Examples) -> Pairs:
    """Reads the vectors and makes the kernels.

    Raises:
      SelectionError: no second embedding set, where one is needed.
    """
    vectors = embedding_sets.EmbeddingSet.open(self.embeddings)
    pool = _unit(_vectors(vectors, examples))
    wanted = [objective.main, *filter(None, [objective.beside])]
    other = None
    if any(names != (POOL, POOL) for names in wanted):
      if not self.beside:
        raise SelectionError(
          f"{objective.name} needs the vectors of other records than the "
          "pool's; name their embedding set"
        )
      other = _unit(_all_vectors(self.beside))
    found = [
      Kernel(
        self._cosines(*(pool if name == POOL else other for name in names)),
        records=names,
      )
      for names in wanted
    ]
    return Pairs(examples, found[0], found[1] if found[1:] else None)

  def _cosines(
    self, targets: Float[np.ndarray, "i d"], examples: Float[np.ndarray, "j d"]
  ) -> pairwise.Values:
    if self.neighbours is None:
      found = pairwise.aligned(len(targets), len(examples))
      return np.matmul(targets, examples.T, out=found)
    count = min(self.neighbours, len(examples))
    near = neighbours.nearest(targets, examples, count=count)
    starts = np.arange(0, near.row.size + 1, count, dtype=np.int64)
    return scipy.sparse.csr_array(
      (near.cosine.ravel(), near.row.ravel(), starts),
      shape=(len(targets), len(examples)),
    )


def _open(directory: str) -> utility_kernels.UtilityKernel:
  return utility_kernels.UtilityKernel.open(directory)


def _scorer(directory: str) -> dict[str, Any]:
  identity = score_sets.ScoreSet.open(directory).identity
  return {name: identity[name] for name in ("corpus", "scorer")}


def _read(
  kernel: utility_kernels.UtilityKernel,
  records: tuple[str, str],
  columns: Int[np.ndarray, " j"],
  transform: utility_kernels.Transform | str,
) -> Kernel:
  """The columns of the pool's examples; all of others."""
  rows, count = kernel.shape
  if records[1] != POOL:
    columns = np.arange(count)
  place = np.full(count, -1)
  place[columns] = np.arange(len(columns))
  found = pairwise.aligned(rows, len(columns))
  for block in kernel.blocks(transform):
    places = place[block.examples]
    found[block.targets, places[places >= 0]] = block.values[:, places >= 0]
  return Kernel(found, axes=kernel.axes, records=records)


def _same(axis: utility_kernels.Axis, other: utility_kernels.Axis) -> bool:
  return all(
    np.array_equal(mine, its)
    for mine, its in (
      (axis.contents, other.contents),
      (axis.positions, other.positions),
    )
  )


def _blocks(
  vectors: embedding_sets.EmbeddingSet,
  shard: str,
  rows: Int64[np.ndarray, " n"],
) -> Iterator[tuple[int, np.ndarray]]:
  start = 0
  for block in vectors.take(shard, rows):
    yield start, block
    start += len(block)


def _vectors(
  vectors: embedding_sets.EmbeddingSet, examples: Examples
) -> Float[np.ndarray, "n d"]:
  found = np.empty((len(examples.shard), vectors.dimensions), np.float32)
  shards = np.array(examples.shard, object)
  for shard in dict.fromkeys(examples.shard):
    places = np.flatnonzero(shards == shard)
    for start, block in _blocks(vectors, shard, examples.position[places]):
      found[places[start : start + len(block)]] = block
  return found


def _all_vectors(directory: str) -> Float[np.ndarray, "n d"]:
  """Of all records that have one."""
  scores = score_sets.ScoreSet.open(directory)
  found = np.concatenate(
    [
      scores.shard_column(shard, embedding_sets.COLUMN).astype(np.float32)
      for shard in scores.shards
    ]
  )
  return found[~np.isnan(found).any(axis=1)]


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
  lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
  return vectors / np.where(lengths > 0, lengths, 1).astype(np.float32)
