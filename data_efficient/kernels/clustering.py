# SPDX-License-Identifier: Apache-2.0
"""Spherical k-means, and nearest neighbours within a cluster.

Unit vectors, cosines: a cluster's centroid is the direction of its members'
sum (Dhillon & Modha 2001, "Concept decompositions"). Vectors come in blocks of
one shape, [blocks, rows, d]; with the rows split over a mesh every device
works on its share of each block.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, Key

Vectors = Float[Array | np.ndarray, "n d"]
Centroids = Float[Array | np.ndarray, "k d"]

# Below every cosine: of what is no candidate.
_NEVER = -2.0


class Clusters(NamedTuple):
  """Centroids after one more step.

  Attributes:
    centroids: unit vectors.
    counts: members of each centroid that the step began with.
    cosine: mean cosine of a vector and that centroid: what grows.
  """

  centroids: Float[Array, "k d"]
  counts: Int32[Array, " k"]
  cosine: Float[Array, ""]


class Neighbours(NamedTuple):
  """The nearest candidate of each query.

  Attributes:
    cosine: to it; −2 where there is no candidate.
    row: its row among the keys.
  """

  cosine: Float[Array, " q"]
  row: Int32[Array, " q"]


def seeds(
  key: Key[Array, ""], sample: Vectors, *, clusters: int, rounds: int
) -> Float[Array, "k d"]:
  """First centroids: rows of a sample, drawn far from those drawn before.

  In each of some rounds an equal number of rows is drawn without replacement,
  with weights 1 − cos to the nearest one of the earlier rounds: the D² weights
  of k-means++ (Arthur & Vassilvitskii 2007), in rounds as in k-means‖ (Bahmani
  et al. 2012). One round draws uniformly, `clusters` rounds are k-means++.

  Args:
    key: of the draw.
    sample: unit vectors, at least as many as clusters.
    clusters: how many.
    rounds: in how many steps they are drawn, up to `clusters`.

  Raises:
    ValueError: fewer vectors than clusters, or no round.
  """
  if not 1 <= rounds <= clusters <= len(sample):
    raise ValueError(
      f"{clusters} clusters in {rounds} rounds from {len(sample)} vectors:"
      " expected 1 ≤ rounds ≤ clusters ≤ vectors"
    )
  sample = jnp.asarray(sample)
  nearest = jnp.full(len(sample), -1.0)
  drawn = []
  ends = np.linspace(0, clusters, rounds + 1).round().astype(int)
  for number in range(rounds):
    count = int(ends[number + 1] - ends[number])
    rows, nearest = _draw(
      jax.random.fold_in(key, number), sample, nearest, count=count
    )
    drawn.append(rows)
  return sample[jnp.concatenate(drawn)]


@jax.jit
def step(
  centroids: Centroids,
  blocks: Float[Array | np.ndarray, "b r d"],
  mask: Bool[Array | np.ndarray, "b r"],
) -> Clusters:
  """One step of Lloyd's algorithm.

  Each vector joins its nearest centroid, each centroid becomes the direction
  of its members' sum. One without members moves to the vector that is farthest
  from its own centroid, a second one to the next such vector.

  Args:
    centroids: unit vectors.
    blocks: unit vectors.
    mask: which of them are not padding.
  """
  centroids, blocks = jnp.asarray(centroids), jnp.asarray(blocks)
  clusters, dimensions = centroids.shape

  def absorb(carry, block):
    sums, counts = carry
    vectors, counted = block
    found = assign(centroids, vectors)
    labels = jnp.where(counted, found.row, clusters)
    sums, counts = jax.lax.platform_dependent(
      sums, counts, labels, vectors, cpu=_scattered, default=_multiplied
    )
    return (sums, counts), jnp.where(counted, found.cosine, jnp.inf)

  # One row more, for padding.
  empty = (
    jnp.zeros((clusters + 1, dimensions)),
    jnp.zeros(clusters + 1, jnp.int32),
  )
  (sums, counts), cosines = jax.lax.scan(absorb, empty, (blocks, mask))
  sums, counts = sums[:clusters], counts[:clusters]
  norms = jnp.linalg.norm(sums, axis=1, keepdims=True)
  moved = jnp.where(norms > 0, sums / jnp.where(norms > 0, norms, 1), centroids)
  moved = jax.lax.cond(
    (counts == 0).any(),
    lambda: _reseeded(moved, counts, cosines, blocks),
    lambda: moved,
  )
  total = jnp.where(jnp.isfinite(cosines), cosines, 0.0).sum()
  return Clusters(moved, counts, total / counts.sum().astype(jnp.float32))


@jax.jit
def assign(centroids: Centroids, vectors: Vectors) -> Neighbours:
  """The nearest centroid of each vector; of equally near ones the first."""
  # Clusters along the first axis: its maximum is one of whole rows.
  cosines = _cosines(jnp.asarray(centroids), jnp.asarray(vectors))
  return _best(cosines)


@jax.jit
def nearest(
  queries: Vectors,
  query_ranks: Int[Array | np.ndarray, " n"],
  keys: Float[Array | np.ndarray, "m d"],
  key_ranks: Int[Array | np.ndarray, " m"],
  *,
  earlier: bool | Bool[Array, ""],
) -> Neighbours:
  """The nearest one of the keys, for each query.

  Args:
    queries: unit vectors.
    query_ranks: their places in the cluster's order.
    keys: unit vectors of the same cluster.
    key_ranks: their places; negative ones are padding.
    earlier: whether only keys before the query are candidates; otherwise all
      but the query itself are.
  """
  cosines = _cosines(jnp.asarray(keys), jnp.asarray(queries))
  ranks, others = (
    jnp.asarray(query_ranks)[None],
    jnp.asarray(key_ranks)[:, None],
  )
  allowed = jnp.where(earlier, others < ranks, others != ranks) & (others >= 0)
  return _best(jnp.where(allowed, cosines, _NEVER))


def _cosines(left: Array, right: Array) -> Float[Array, "m n"]:
  # A plain float32 product is bfloat16 on TPU: near duplicates would be equal.
  return jnp.einsum(
    "kd,nd->kn", left, right, precision=jax.lax.Precision.HIGHEST
  )


def _best(cosines: Float[Array, "m n"]) -> Neighbours:
  """The largest of each column, and its row, the first of equal ones."""
  largest = cosines.max(axis=0)
  rows = jnp.arange(len(cosines), dtype=jnp.int32)[:, None]
  found = jnp.where(cosines == largest[None], rows, len(cosines)).min(axis=0)
  return Neighbours(largest, found)


def _scattered(sums, counts, labels, vectors):
  return sums.at[labels].add(vectors), counts.at[labels].add(1)


def _multiplied(sums, counts, labels, vectors):
  """The same by a product: no serial additions, and always in one order."""
  member = labels[None] == jnp.arange(len(counts))[:, None]
  added = jnp.einsum(
    "kn,nd->kd",
    member.astype(vectors.dtype),
    vectors,
    precision=jax.lax.Precision.HIGHEST,
  )
  return sums + added, counts + member.sum(axis=1, dtype=jnp.int32)


def _reseeded(moved, counts, cosines, blocks):
  """Centroids without members, moved to the vectors that fit worst."""
  flat = cosines.reshape(-1)
  _, worst = jax.lax.top_k(-flat, min(len(counts), len(flat)))
  empty = counts == 0
  place = jnp.minimum(jnp.cumsum(empty) - 1, len(worst) - 1)
  # Not by the flat row: a mesh would gather all vectors to reshape them.
  chosen = blocks[jnp.divmod(worst[place], blocks.shape[1])]
  return jnp.where(empty[:, None], chosen, moved)


@functools.partial(jax.jit, static_argnames="count")
def _draw(key, sample, nearest, *, count: int):
  """Rows by weights 1 − cos, and the cosines to the nearest of all so far."""
  # Gumbel keys. What was drawn before, and its copies, come last.
  weights = jnp.log(jnp.maximum(1.0 - nearest, 1e-12))
  keys = weights + jax.random.gumbel(key, nearest.shape)
  rows = jax.lax.top_k(keys, count)[1]
  found = _cosines(sample[rows], sample).max(axis=0)
  return rows, jnp.maximum(nearest, found).at[rows].set(1.0)
