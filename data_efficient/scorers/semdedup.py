# SPDX-License-Identifier: Apache-2.0
"""SemDeDup: whether another record of the cluster says nearly the same.

score(y) = −max cos(y, x), x another record of y's cluster

(Abbas et al. 2023, arXiv 2303.09540; arXiv 2402.09668, Section 4.1). Of a group
of duplicates one is to stay. As in SemDeDup, a record is compared with those
before it alone, those far from the centroid first, so that the first of a
group has the score of what is left without it. Select from it with `Top`.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32, Int64

from data_efficient.kernels import clustering
from data_efficient.scorers import (
  cluster_files,
  cluster_findings,
  clusters,
  interface,
)
from data_efficient.scorers.working_files import (
  Columns,
  InMemory,
  WorkingFiles,
)

_SMALLEST = 16  # rows of a block


@dataclasses.dataclass(kw_only=True)
class SemDeDup:
  """Scores embeddings by their nearest neighbour in their cluster.

  The pool is ordered by clusters on disk, where `working_files` says: a copy
  of its vectors, in the embedding set's type, until the scores are there.

  Attributes:
    clusters: how the pool is clustered.
    keep_one: whether one of each group of duplicates is spared; otherwise a
      record is compared with all others of its cluster, and of two copies
      both have the lowest score.
    block: vectors of a cluster that are compared with as many at once.
    memory_bytes: of vectors that are held at once, in the embedding set's type;
      scores do not depend on it. A process needs some times as much. Larger
      clusters are read block by block, again for each other block.
    part_records: records a part.
    name: the name of the scorer in tables.
    working_files: where the pool is ordered; None for memory.
  """

  clusters: clusters.KMeans
  keep_one: bool
  block: int
  memory_bytes: int = 2**28
  part_records: int = 16384
  name: str = "semdedup"

  working_files: WorkingFiles | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )
  findings: cluster_findings.Findings | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.NUMBERED_EMBEDDING

  def identity(self) -> dict:
    """All that a score depends on, beside the embeddings."""
    return {
      "name": self.name,
      "clusters": self.clusters.identity(),
      "keep_one": self.keep_one,
      "block": self.block,
    }

  def prepare(self, read: interface.Read) -> None:
    """Clusters the pool, then finds every record's neighbour.

    Goes on where `working_files` was left.

    Raises:
      ClusterError: fewer usable vectors than clusters, or a pool that changed.
    """
    self.findings = cluster_findings.of_pool(
      read,
      self._neighbours,
      files=self.working_files or InMemory(),
      means=self.clusters,
      memory_bytes=self.memory_bytes,
      name=self.name,
      label="neighbours",
    )

  def score(self, batch: np.ndarray) -> interface.Scores:
    """Columns "score" in [−1, 1], "nearest" and "cluster".

    "nearest" is the number in the corpus of the record that it is nearest to,
    −1 where no other was compared. Records outside of the pool, and NaN,
    infinite and zero vectors, are unscorable.

    Raises:
      ClusterError: before `prepare`.
    """
    if self.findings is None:
      raise clusters.ClusterError("prepare must run before score")
    found, statuses = self.findings.of(batch)
    columns = {
      "score": -found["cosine"],
      "nearest": found["nearest"],
      "cluster": found["cluster"],
    }
    return interface.Scores(statuses, columns)

  def _neighbours(
    self, pool: cluster_files.Partition, first: int, last: int
  ) -> Iterator[Columns]:
    for label, found in enumerate(pool.clusters(first, last), first):
      near, rows = neighbours(
        found.vectors, earlier=self.keep_one, block=self.block, held=found.held
      )
      # One row more: where there is no candidate, the row is −1.
      records = np.append(found.records, -1)
      yield {
        "record": found.records,
        "cosine": near,
        "nearest": records[rows],
        "cluster": np.full(len(rows), label, np.int32),
      }


def neighbours(
  members: "Float[np.ndarray, 'n d'] | cluster_files.Gathered",
  *,
  earlier: bool,
  block: int,
  held: bool = True,
) -> tuple[Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
  """The nearest of a cluster's members, for each; −1 and −1 without one.

  Args:
    members: unit vectors, in the cluster's order.
    earlier: whether only those before a member are candidates.
    block: how many are compared with how many at once.
    held: whether all are in memory at once; otherwise two blocks are.
  """
  size = min(block, max(_SMALLEST, 1 << (len(members) - 1).bit_length()))
  cosines = np.full(len(members), -1.0, np.float32)
  rows = np.full(len(members), -1, np.int64)
  blocks = [*_ranked(members, size)] if held else None
  for at, (queries, ranks) in enumerate(blocks or _ranked(members, size)):
    part = slice(at * size, min((at + 1) * size, len(members)))
    candidates = itertools.islice(
      blocks or _ranked(members, size), at + 1 if earlier else None
    )
    for keys, others in candidates:
      found = clustering.nearest(queries, ranks, keys, others, earlier=earlier)
      near = np.asarray(found.cosine)[: part.stop - part.start]
      better = near > cosines[part]
      cosines[part] = np.where(better, near, cosines[part])
      row = others[np.asarray(found.row)[: len(near)]]
      rows[part] = np.where(better, row, rows[part])
  return np.clip(cosines, -1.0, 1.0), rows


def _ranked(members, size: int):
  for start in range(0, len(members), size):
    part = members[start : start + size]
    missing = size - len(part)
    ranks = np.arange(start, start + size)
    yield (
      np.pad(part, ((0, missing), (0, 0))),
      np.where(ranks < len(members), ranks, -1).astype(np.int32),
    )
