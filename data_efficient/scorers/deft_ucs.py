# SPDX-License-Identifier: Apache-2.0
"""DEFT-UCS: of every cluster as many records, some typical and some far out.

The pool's embeddings are clustered by k-means. From each cluster equally many
are taken: a share α of them easy, nearest to the centroid, the others hard,
farthest from it (Das and Khetan 2023, arXiv 2310.16776, Section 3: β = 1 − α).

score(y) = −(y's turn in its cluster, from 0)

The turns alternate so that the first r have ⌊α r + ½⌋ easy ones. Select from it
with `Top`: each budget takes the same number of each cluster that has so many,
exactly as many in all, and a smaller budget's part of a larger one's.
"""

import dataclasses
import fractions
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

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

_BEYOND = "beyond its cluster's share"
_NAMED = 5  # clusters that an error names


@dataclasses.dataclass(kw_only=True)
class DeftUcs:
  """Scores embeddings by their turn in their cluster.

  Attributes:
    clusters: how the pool is clustered.
    easy: α, the share of records near the centroid, from 0 to 1.
    share: records that a cluster may give, as in the paper; all others are
      unscorable. None: as many as the budget asks for.
    memory_bytes: of vectors that are held at once, in the embedding set's type;
      scores do not depend on it.
    part_records: records a part.
    name: the name of the scorer in tables.
    working_files: where the pool is ordered; None for memory.
  """

  clusters: clusters.KMeans
  easy: float
  share: int | None = None
  memory_bytes: int = 2**28
  part_records: int = 16384
  name: str = "deft_ucs"

  working_files: WorkingFiles | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )
  findings: cluster_findings.Findings | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.NUMBERED_EMBEDDING

  def __post_init__(self):
    """Raises ClusterError for shares that there cannot be."""
    if not 0 <= self.easy <= 1:
      raise clusters.ClusterError(
        f"easy = {self.easy}: expected the share of easy records, from 0 to 1"
      )
    if self.share is not None and self.share < 1:
      raise clusters.ClusterError(
        f"share = {self.share}: expected at least 1 record a cluster, or None"
      )

  def identity(self) -> dict:
    """All that a score depends on, beside the embeddings."""
    return {
      "name": self.name,
      "clusters": self.clusters.identity(),
      "easy": self.easy,
      "share": self.share,
    }

  def prepare(self, read: interface.Read) -> None:
    """Clusters the pool, then gives every record its turn.

    Raises:
      ClusterError: fewer usable vectors than clusters, a pool that changed, or
        clusters with fewer records than their share.
    """
    findings = cluster_findings.of_pool(
      read,
      self._turns,
      files=self.working_files or InMemory(),
      means=self.clusters,
      memory_bytes=self.memory_bytes,
      name=self.name,
      label="turns",
    )
    self._check_share(findings)
    self.findings = findings

  def score(self, batch: np.ndarray) -> interface.Scores:
    """Columns "score", at most 0, "cluster" and "easy", 1 or 0.

    Records outside of the pool, and NaN, infinite and zero vectors, are
    unscorable; with a share, those whose turn comes after it.

    Raises:
      ClusterError: before `prepare`.
    """
    if self.findings is None:
      raise clusters.ClusterError("prepare must run before score")
    found, statuses = self.findings.of(batch)
    turns = found["turn"]
    if self.share is not None:
      for row in np.flatnonzero(turns >= self.share):
        if statuses[row] == interface.SCORED:
          statuses[row] = interface.unscorable(_BEYOND)
    columns = {
      # Of more than 2²⁴ records in a cluster the last ones would tie.
      "score": -turns.astype(np.float32),
      "cluster": found["cluster"],
      "easy": found["easy"],
    }
    return interface.Scores(statuses, columns)

  def _turns(
    self, pool: cluster_files.Partition, first: int, last: int
  ) -> Iterator[Columns]:
    for label, records in enumerate(pool.members(first, last), first):
      rows, easy = turns(len(records), self.easy)
      yield {
        "record": records[rows],
        "turn": np.arange(len(rows)),
        "cluster": np.full(len(rows), label, np.int32),
        "easy": easy.astype(np.int32),
      }

  def _check_share(self, findings: cluster_findings.Findings) -> None:
    """Raises ClusterError for clusters with fewer records than their share."""
    if self.share is None:
      return
    sizes = sum(
      np.bincount(piece["cluster"], minlength=self.clusters.clusters)
      for piece in findings.pieces()
    )
    small = np.flatnonzero(sizes < self.share)
    if len(small):
      named = ", ".join(f"{n} ({sizes[n]})" for n in small[:_NAMED].tolist())
      named += ", …" if len(small) > _NAMED else ""
      raise clusters.ClusterError(
        f"{len(small)} of {len(sizes)} clusters have fewer records than their "
        f"share of {self.share}: {named}; "
        "lower the share or the number of clusters, or set the share to None: "
        "then larger clusters give what smaller ones have not"
      )


def turns(
  members: int, easy: float
) -> tuple[Int64[np.ndarray, " n"], np.ndarray]:
  """The order in which a cluster's members are taken, and which are easy.

  Args:
    members: how many.
    easy: α; the decimal number that was typed.

  Returns:
    Rows of the members, ordered with the farthest from the centroid first; and
    whether each was taken as one near to it.
  """
  exact = fractions.Fraction(str(float(easy)))
  over, under = exact.numerator, exact.denominator
  picked = np.arange(members + 1)
  # Python's integers: α may have many digits.
  near = np.array(
    [(2 * over * n + under) // (2 * under) for n in picked.tolist()], np.int64
  )
  is_easy = np.diff(near) > 0
  hard = picked[1:] - near[1:]
  return np.where(is_easy, members - near[1:], hard - 1), is_easy
