# SPDX-License-Identifier: Apache-2.0
"""A count sketch of hash codes: kernel density sums in two linear passes.

Row r counts how many vectors fell into each of its B buckets:

  S[r, b] = #{x ∈ D : hᵣ(x) = b}

The count in a query's own buckets estimates Σ_{x∈D} k(x, y), where k is the
probability that a row sends x and y to the same code. The paper calls it the
sketch matrix of Algorithm 2 (arXiv 2402.09668, Sec. 3.2; 1,000 × 20,000).
Sketches of parts of D add up to the sketch of D.

Hashing and counting are one pass, a chunk of rows at a time: codes of a block
of vectors on all rows never lie in memory together.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from data_efficient.kernels import counting, hashing

LARGEST_SKETCH = 2**31 - 1  # counters: places in it are int32
MOST_ROWS = 2**15  # whose 16-bit halves add up in int32

Vectors = Float[Array | np.ndarray, "n d"]


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
    ValueError: no row, fewer than two buckets (one bucket counts everything
      and says nothing), or more counters than 32 bits can number.
  """
  if num_rows < 1 or num_buckets < 2:
    raise ValueError(
      "a sketch needs at least one row and two buckets, got num_rows="
      f"{num_rows}, num_buckets={num_buckets}"
    )
  if num_rows * num_buckets > LARGEST_SKETCH or num_rows > MOST_ROWS:
    raise ValueError(
      f"a sketch has at most {LARGEST_SKETCH:,} counters in at most "
      f"{MOST_ROWS:,} rows, got {num_rows:,} x {num_buckets:,}"
    )
  return Sketch(
    counts=jnp.zeros((num_rows, num_buckets), jnp.int32),
    total=jnp.zeros((), jnp.int32),
  )


# The old counters' memory is used again: 80 MB at the paper's size would
# otherwise be copied for every block.
@functools.partial(jax.jit, donate_argnums=0)
def update(
  sketch: Sketch,
  hashes: hashing.Hashes,
  vectors: Vectors,
  *,
  mask: Bool[Array | np.ndarray, " n"],
) -> Sketch:
  """Returns the sketch after one more block of vectors; consumes the old one.

  S[r, hᵣ(x)] += 1 for each x with a true mask; the others (padding) are not
  counted. Call it with blocks of one fixed shape: each shape compiles anew,
  and the bits of a matrix product may differ.

  Raises:
    ValueError: a block of over 2²⁴ vectors.
  """
  if vectors.shape[0] > counting.LARGEST_BLOCK:
    raise ValueError(
      f"a block has at most {counting.LARGEST_BLOCK:,} vectors, got "
      f"{vectors.shape[0]:,}: cut it"
    )
  present = jnp.asarray(mask).astype(jnp.int32)
  num_buckets = sketch.counts.shape[1]

  def counted(add):
    def step(start, size, counts):
      found = hashing.rows_of_buckets(
        hashes, vectors, start, size, num_buckets=num_buckets
      )
      return add(counts, start, found, present)

    return lambda: hashing.over_rows(hashes, step, sketch.counts)

  counts = jax.lax.platform_dependent(
    tpu=counted(counting.add_by_product),
    default=counted(counting.add_by_scatter),
  )
  return Sketch(counts=counts, total=sketch.total + present.sum())


@jax.jit
def merge(left: Sketch, right: Sketch) -> Sketch:
  """Returns the sketch of both data sets: counters add up."""
  return Sketch(
    counts=left.counts + right.counts, total=left.total + right.total
  )


@jax.jit
def query(
  sketch: Sketch, hashes: hashing.Hashes, vectors: Vectors
) -> Float[Array, " n"]:
  """Returns an unbiased estimate of Σ_{x∈D} k(x, y) for each query y.

    Ŝ(y) = (S̄ − N/B) / (1 − 1/B),   S̄ = (1/R) Σᵣ S[r, hᵣ(y)]

  in vectors of D (divide by N for the mean kernel value). S̄ is Algorithm 2's
  score; the rest takes off what folding codes into B buckets adds, as each of
  the N vectors with another code shares the bucket with probability 1/B. The
  standard error falls as 1/√R. It can come out below 1, even below 0, where a
  query is nearly alone; the true sum of a member of D is at least 1.
  """
  num_rows, num_buckets = sketch.counts.shape

  def summed(read):
    def step(start, size, sums):
      found = hashing.rows_of_buckets(
        hashes, vectors, start, size, num_buckets=num_buckets
      )
      return sums + read(sketch.counts, start, found)

    nothing = jnp.zeros((2, vectors.shape[0]), jnp.int32)
    return lambda: hashing.over_rows(hashes, step, nothing)

  sums = jax.lax.platform_dependent(
    tpu=summed(counting.sums_by_product),
    default=summed(counting.sums_by_gather),
  )
  mean = counting.joined(sums) / num_rows
  by_chance = sketch.total.astype(jnp.float32) / num_buckets
  return (mean - by_chance) / (1 - 1 / num_buckets)
