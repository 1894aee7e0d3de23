# SPDX-License-Identifier: Apache-2.0
"""A count sketch of hash codes: kernel density sums in two linear passes.

Row r counts how many vectors fell into each of its B buckets:

  S[r, b] = #{x ∈ D : hᵣ(x) = b}

The count in a query's own buckets estimates Σ_{x∈D} k(x, y), where k is the
probability that a row sends x and y to the same code. The paper calls it the
sketch matrix of Algorithm 2 (arXiv 2402.09668, Sec. 3.2; 1,000 × 20,000).
Sketches of parts of D add up to the sketch of D.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

Buckets = Int32[Array | np.ndarray, "n r"]


class Sketch(NamedTuple):
  """Counters of R rows and B buckets.

  int32: exact, independent of the order of updates, and overflowing when one
  bucket holds 2³¹ vectors, which D with fewer than 2³¹ vectors cannot do.
  """

  counts: Int32[Array, "r w"]
  total: Int32[Array, ""]  # N, the number of vectors counted


def init(*, num_rows: int, num_buckets: int) -> Sketch:
  """Returns the sketch of no vector, 4·R·B bytes.

  Raises:
    ValueError: no row, or fewer than two buckets: one bucket counts
      everything and says nothing.
  """
  if num_rows < 1 or num_buckets < 2:
    raise ValueError(
      "a sketch needs at least one row and two buckets, got num_rows="
      f"{num_rows}, num_buckets={num_buckets}"
    )
  return Sketch(
    counts=jnp.zeros((num_rows, num_buckets), jnp.int32),
    total=jnp.zeros((), jnp.int32),
  )


@jax.jit
def update(
  sketch: Sketch, buckets: Buckets, *, mask: Bool[Array | np.ndarray, " n"]
) -> Sketch:
  """Returns the sketch after one more block of vectors.

  S[r, hᵣ(x)] += 1 for each x with a true mask; the others (padding) are not
  counted. Call it with blocks of one fixed shape: each shape compiles anew.
  """
  one = jnp.where(jnp.asarray(mask), 1, 0).astype(jnp.int32)
  rows = jnp.arange(sketch.counts.shape[0])
  counts = sketch.counts.at[rows[None, :], jnp.asarray(buckets)].add(
    jnp.broadcast_to(one[:, None], buckets.shape), mode="promise_in_bounds"
  )
  return Sketch(counts=counts, total=sketch.total + one.sum())


@jax.jit
def merge(left: Sketch, right: Sketch) -> Sketch:
  """Returns the sketch of both data sets: counters add up."""
  return Sketch(
    counts=left.counts + right.counts, total=left.total + right.total
  )


@jax.jit
def query(sketch: Sketch, buckets: Buckets) -> Float[Array, " n"]:
  """Returns an unbiased estimate of Σ_{x∈D} k(x, y) for each query y.

    Ŝ(y) = (S̄ − N/B) / (1 − 1/B),   S̄ = (1/R) Σᵣ S[r, hᵣ(y)]

  in vectors of D (divide by N for the mean kernel value). S̄ is Algorithm 2's
  score; the rest takes off what folding codes into B buckets adds, as each of
  the N vectors with another code shares the bucket with probability 1/B. The
  standard error falls as 1/√R. It can come out below 1, even below 0, where a
  query is nearly alone; the true sum of a member of D is at least 1.
  """
  num_rows, num_buckets = sketch.counts.shape
  rows = jnp.arange(num_rows)
  found = sketch.counts.at[rows[None, :], jnp.asarray(buckets)].get(
    mode="promise_in_bounds"
  )
  mean = found.astype(jnp.float32).mean(axis=1)
  by_chance = sketch.total.astype(jnp.float32) / num_buckets
  return (mean - by_chance) / (1 - 1 / num_buckets)
