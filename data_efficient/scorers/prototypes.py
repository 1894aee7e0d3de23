# SPDX-License-Identifier: Apache-2.0
"""Prototypes: how far a record is from its cluster's centroid.

score(y) = −cos(y, centroid of y's cluster)

What is closest to a centroid has the lowest score and goes first (Sorscher et
al. 2022; arXiv 2402.09668, Section 4.1). Select from it with `Top`.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

from data_efficient.scorers import clusters, interface, vectors
from data_efficient.scorers.working_files import (
  Columns,
  InMemory,
  WorkingFiles,
)


@dataclasses.dataclass(kw_only=True)
class Prototypes:
  """Scores embeddings by their distance from the nearest centroid.

  Attributes:
    clusters: how the pool is clustered.
    part_records: records a part.
    name: the name of the scorer in tables.
    working_files: where the centroids are kept until all is scored; None for
      memory.
  """

  clusters: clusters.KMeans
  part_records: int = 16384
  name: str = "prototypes"

  working_files: WorkingFiles | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )
  centroids: Float[np.ndarray, "k d"] | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.EMBEDDING

  def identity(self) -> dict:
    """All that a score depends on, beside the embeddings."""
    return {"name": self.name, "clusters": self.clusters.identity()}

  def prepare(self, read: interface.Read) -> None:
    """Clusters the pool.

    Raises:
      ClusterError: fewer usable vectors than clusters.
    """
    files = self.working_files or InMemory()
    files.each("centroids", functools.partial(self._fitted, read), 1)
    self.centroids = files.read("centroids", 0)["vectors"]

  def _fitted(self, read: interface.Read, number: int) -> Columns:
    del number  # there is one
    return {"vectors": self.clusters.fit(read("pool"), name=self.name)}

  def score(self, batch: np.ndarray) -> interface.Scores:
    """Columns "score" in [−1, 1], and "cluster", the centroid's number.

    NaN, infinite and zero vectors are unscorable.

    Raises:
      ClusterError: before `prepare`, or vectors of another dimension.
    """
    if self.centroids is None:
      raise clusters.ClusterError("prepare must run before score")
    rows = clusters.unit_rows(batch)
    labels, cosines = self.clusters.assign(self.centroids, rows)
    usable = vectors.usable(batch)
    columns = {
      "score": np.full(len(batch), np.nan, np.float32),
      "cluster": np.zeros(len(batch), np.int32),
    }
    columns["score"][usable], columns["cluster"][usable] = -cosines, labels
    return interface.Scores(clusters.statuses(batch), columns)
