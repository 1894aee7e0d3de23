# SPDX-License-Identifier: Apache-2.0
"""SemDeDup: whether another record of the cluster says nearly the same.

score(y) = −max cos(y, x), x another record of y's cluster

(Abbas et al. 2023, arXiv 2303.09540; arXiv 2402.09668, Section 4.1). Of a group
of duplicates one is to stay. As in SemDeDup, a record is compared with those
before it alone, those far from the centroid first, so that the first of a
group has the score of what is left without it. Select from it with `Top`.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from data_efficient import progress
from data_efficient.kernels import clustering
from data_efficient.scorers import clusters, interface, vectors

_SMALLEST = 16  # rows of a block


class Found(NamedTuple):
  """What the pool's records came to, by ascending record number.

  Attributes:
    records: their numbers in the corpus.
    cosines: to the nearest candidate; −1 where there is none.
    nearest: its record number; −1 where there is none.
    labels: of their clusters.
  """

  records: Int64[np.ndarray, " n"]
  cosines: Float32[np.ndarray, " n"]
  nearest: Int64[np.ndarray, " n"]
  labels: np.ndarray


@dataclasses.dataclass(kw_only=True)
class SemDeDup:
  """Scores embeddings by their nearest neighbour in their cluster.

  The pool's vectors are held in memory, in the embedding set's type.

  Attributes:
    clusters: how the pool is clustered.
    keep_one: whether one of each group of duplicates is spared; otherwise a
      record is compared with all others of its cluster, and of two copies
      both have the lowest score.
    block: vectors of a cluster that are compared with as many at once.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  clusters: clusters.KMeans
  keep_one: bool
  block: int
  part_records: int = 16384
  name: str = "semdedup"

  found: Found | None = dataclasses.field(
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

    Raises:
      ClusterError: fewer usable vectors than clusters.
    """
    centroids = self.clusters.fit(
      (block["vector"] for block in read("pool")), name=self.name
    )
    blocks = [block[vectors.usable(block["vector"])] for block in read("pool")]
    pool = np.concatenate(blocks)
    labels, cosines = self._assigned(centroids, pool["vector"])
    # By cluster; in it the farthest from the centroid first.
    order = np.lexsort((pool["record"], cosines, labels))
    pool, labels = pool[order], labels[order]
    near, rows = self._neighbours(pool["vector"], labels)
    nearest = np.where(rows < 0, -1, pool["record"][rows])
    by_record = np.argsort(pool["record"])
    self.found = Found(
      pool["record"][by_record],
      near[by_record],
      nearest[by_record],
      labels[by_record],
    )

  def score(self, batch: np.ndarray) -> interface.Scores:
    """Columns "score" in [−1, 1], "nearest" and "cluster".

    "nearest" is the number in the corpus of the record that it is nearest to,
    −1 where no other was compared. Records outside of the pool, and NaN,
    infinite and zero vectors, are unscorable.

    Raises:
      ClusterError: before `prepare`.
    """
    if self.found is None:
      raise clusters.ClusterError("prepare must run before score")
    found, records = self.found, batch["record"]
    rows = np.searchsorted(found.records, records)
    rows = np.minimum(rows, len(found.records) - 1)
    statuses = clusters.statuses(batch["vector"])
    for row in np.flatnonzero(found.records[rows] != records):
      if statuses[row] == interface.SCORED:
        statuses[row] = interface.unscorable("not in the pool")
    columns = {
      "score": -found.cosines[rows],
      "nearest": found.nearest[rows],
      "cluster": found.labels[rows],
    }
    return interface.Scores(statuses, columns)

  def _assigned(self, centroids, pool) -> tuple[np.ndarray, np.ndarray]:
    parts = [
      self.clusters.assign(centroids, clusters.unit_rows(part))
      for part in _cut(pool, self.clusters.block)
    ]
    labels, cosines = zip(*parts, strict=True)
    return np.concatenate(labels), np.concatenate(cosines)

  def _neighbours(
    self, pool: np.ndarray, labels: np.ndarray
  ) -> tuple[Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Cosine and row of each row's nearest candidate, of sorted clusters."""
    cosines = np.full(len(pool), -1.0, np.float32)
    rows = np.full(len(pool), -1, np.int64)
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    ends = np.append(starts[1:], len(pool))
    label = f"{self.name}: neighbours"
    with progress.bar(label, total=len(pool)) as advance:
      for start, end in zip(starts, ends, strict=True):
        members = clusters.unit_rows(pool[start:end])
        near, row = neighbours(members, earlier=self.keep_one, block=self.block)
        cosines[start:end] = near
        rows[start:end] = np.where(row < 0, -1, start + row)
        advance(int(end - start))
    return cosines, rows


def neighbours(
  members: Float[np.ndarray, "n d"], *, earlier: bool, block: int
) -> tuple[Float32[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
  """The nearest of a cluster's members, for each; −1 and −1 without one.

  Args:
    members: unit vectors, in the cluster's order.
    earlier: whether only those before a member are candidates.
    block: how many are compared with how many at once.
  """
  size = min(block, max(_SMALLEST, 1 << (len(members) - 1).bit_length()))
  cosines = np.full(len(members), -1.0, np.float32)
  rows = np.full(len(members), -1, np.int64)
  blocks = [*_ranked(members, size)]
  for at, (queries, ranks) in enumerate(blocks):
    part = slice(at * size, min((at + 1) * size, len(members)))
    for keys, others in blocks[: at + 1] if earlier else blocks:
      found = clustering.nearest(queries, ranks, keys, others, earlier=earlier)
      near = np.asarray(found.cosine)[: part.stop - part.start]
      better = near > cosines[part]
      cosines[part] = np.where(better, near, cosines[part])
      row = others[np.asarray(found.row)[: len(near)]]
      rows[part] = np.where(better, row, rows[part])
  return np.clip(cosines, -1.0, 1.0), rows


def _ranked(members: np.ndarray, size: int):
  for start in range(0, len(members), size):
    part = members[start : start + size]
    missing = size - len(part)
    ranks = np.arange(start, start + size)
    yield (
      np.pad(part, ((0, missing), (0, 0))),
      np.where(ranks < len(members), ranks, -1).astype(np.int32),
    )


def _cut(pool: np.ndarray, rows: int):
  return (pool[start : start + rows] for start in range(0, len(pool), rows))
