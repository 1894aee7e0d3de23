# SPDX-License-Identifier: Apache-2.0
"""The clusters of a pool's embeddings: what SemDeDup and Prototypes share."""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int32, Shaped

from data_efficient import progress
from data_efficient.kernels import clustering
from data_efficient.scorers import interface, subsample, vectors

# Vectors a cluster among which first centroids are drawn: the steps that follow
# see all, and drawing among 200 a cluster took as long as three of them.
_DRAWN_AMONG = 32


class ClusterError(ValueError):
  """Embeddings that cannot be clustered."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeans:
  """Spherical k-means of a sample of the pool.

  Attributes:
    clusters: how many (the paper: 10,000).
    sample_size: vectors that are clustered; all others join the nearest
      centroid. Held in memory, 4 bytes a number.
    iterations: steps of Lloyd's algorithm.
    rounds: in how many steps the first centroids are drawn.
    seed: of sample and draw.
    block: vectors that are compared with all centroids at once.
  """

  clusters: int
  sample_size: int
  iterations: int
  rounds: int
  seed: int
  block: int

  def __post_init__(self):
    """Raises ClusterError for numbers that make no clusters."""
    if min(dataclasses.astuple(self)[:4]) < 1 or self.block < 1:
      raise ClusterError(f"{self}: each number must be at least 1")
    if self.rounds > self.clusters:
      raise ClusterError(f"{self}: more rounds than clusters")

  def identity(self) -> dict:
    """All that the centroids depend on, beside the embeddings."""
    return dataclasses.asdict(self)

  def fit(
    self, blocks: Iterable[np.ndarray], *, name: str
  ) -> Float[np.ndarray, "k d"]:
    """Centroids, unit vectors, of a stream of vectors.

    Vectors that are not finite, or zero, are left out.

    Raises:
      ClusterError: fewer usable vectors than clusters.
    """
    rows = (row.copy() for block in blocks for row in unit_rows(block))
    sample = subsample.sample(rows, self.sample_size, seed=self.seed)
    return self.cluster(np.array(sample, np.float32), name=name)

  def cluster(
    self, sample: Shaped[np.ndarray, "..."], *, name: str
  ) -> Float[np.ndarray, "k d"]:
    """Centroids of unit vectors, float32 [n, d].

    Raises:
      ClusterError: fewer than clusters.
    """
    if len(sample) < self.clusters:
      raise ClusterError(
        f"{len(sample)} usable vectors in the sample, {self.clusters} "
        "clusters: lower clusters, raise sample_size, or bring more records"
      )
    centroids = clustering.seeds(
      jax.random.key(self.seed),
      sample[:: max(len(sample) // (_DRAWN_AMONG * self.clusters), 1)],
      clusters=self.clusters,
      rounds=self.rounds,
    )
    stacked, mask = _stacked(sample, self.block)
    with progress.bar(f"{name}: k-means", total=self.iterations) as advance:
      for _ in range(self.iterations):
        centroids = clustering.step(centroids, stacked, mask).centroids
        jax.block_until_ready(centroids)
        advance(1)
    return np.asarray(centroids)

  def assign(
    self, centroids: Float[np.ndarray, "k d"], rows: Float[np.ndarray, "n e"]
  ) -> tuple[Int32[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The nearest centroid of unit vectors, and the cosine to it."""
    if rows.shape[1] != centroids.shape[1]:
      raise ClusterError(
        f"vectors of {rows.shape[1]} dimensions, the clusters have "
        f"{centroids.shape[1]}: score the embedding set that was clustered"
      )
    labels = np.zeros(len(rows), np.int32)
    cosines = np.zeros(len(rows), np.float32)
    for start in range(0, len(rows), self.block):
      part = rows[start : start + self.block]
      padding = ((0, self.block - len(part)), (0, 0))
      found = clustering.assign(centroids, np.pad(part, padding))
      labels[start : start + len(part)] = np.asarray(found.row)[: len(part)]
      cosines[start : start + len(part)] = np.asarray(found.cosine)[: len(part)]
    return labels, cosines


def unit_rows(block: np.ndarray) -> Float[np.ndarray, "k d"]:
  """The usable vectors of a block, at unit norm, float32."""
  rows = vectors.usable_rows(block).astype(np.float64)
  return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def statuses(block: np.ndarray) -> list[str]:
  """ "scored", or why a vector is in no cluster."""
  finite, usable = np.isfinite(block).all(axis=1), vectors.usable(block)
  reasons = np.where(finite, "zero vector", "vector is not finite")
  return [
    interface.SCORED if usable[row] else interface.unscorable(reasons[row])
    for row in range(len(block))
  ]


def _stacked(sample: np.ndarray, rows: int) -> tuple[jax.Array, jax.Array]:
  """A sample in blocks of so many rows, and which rows are not padding."""
  blocks = -(-len(sample) // rows)
  padded = np.pad(sample, ((0, blocks * rows - len(sample)), (0, 0)))
  mask = np.arange(blocks * rows) < len(sample)
  return (
    jnp.asarray(padded.reshape(blocks, rows, -1)),
    jnp.asarray(mask.reshape(blocks, rows)),
  )
