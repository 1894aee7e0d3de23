# SPDX-License-Identifier: Apache-2.0
"""Adding to and reading the counters of a sketch, one chunk of rows at a time.

Two formulations of whole numbers, equal in every bit:

*Scatter and gather*, for CPU and GPU: counters as one line, rows one after the
other, so that a row's counters (80 kB of 20,000) stay in a core's cache while
all vectors of a block go through them. Into a matrix XLA's CPU scatter is eight
times slower.

*Products*, for TPU, which reads and writes single words slowly but multiplies
matrices of zeros and ones for nothing. A bucket is b = 128·high + low; the
counts of a row are the matrix product of its vectors' one-hot highs [B/128, n]
and lows [n, 128], 2·B operations a vector on the matrix unit, exact in bf16
with fp32 sums for up to 2²⁴ vectors. Reading is the same product backwards,
byte by byte: a byte is exact in bf16, too.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from data_efficient.kernels import projections

LANES = 128  # of a TPU's registers
ROWS_AT_ONCE = 8  # whose one-hot matrices lie in memory together
LARGEST_BLOCK = 2**24  # vectors, that fp32 counts exactly

Counts = Int32[Array, "r w"]
Found = Int32[Array | np.ndarray, "s n"]
Present = Int32[Array | np.ndarray, " n"]
Start = projections.Start


def add_by_scatter(
  counts: Counts, start: Start, found: Found, present: Present
) -> Counts:
  """Returns counts[start + r, found[r, i]] += present[i]."""
  line = counts.reshape(-1)
  ones = jnp.broadcast_to(jnp.asarray(present)[None, :], found.shape)
  line = line.at[_places(counts, start, found)].add(
    ones.reshape(-1), mode="promise_in_bounds"
  )
  return line.reshape(counts.shape)


def sums_by_gather(
  counts: Counts, start: Start, found: Found
) -> Int32[Array, "2 n"]:
  """Returns Σᵣ counts[start + r, found[r, i]] as `halves`."""
  values = (
    counts.reshape(-1)
    .at[_places(counts, start, found)]
    .get(mode="promise_in_bounds")
  )
  return halves(values.reshape(found.shape))


def add_by_product(
  counts: Counts, start: Start, found: Found, present: Present
) -> Counts:
  """Returns counts[start + r, found[r, i]] += present[i], on a matrix unit."""
  found, num_buckets = jnp.asarray(found), counts.shape[1]
  present = jnp.asarray(present)

  def histogram(row):
    high, low = _one_hot(row, num_buckets)
    high = high * present[:, None].astype(jnp.bfloat16)
    counted = jax.lax.dot_general(
      high, low, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32
    )
    return counted.reshape(-1)[:num_buckets].astype(jnp.int32)

  new = jax.lax.map(histogram, found, batch_size=ROWS_AT_ONCE)
  old = jax.lax.dynamic_slice_in_dim(counts, start, found.shape[0], axis=0)
  return jax.lax.dynamic_update_slice_in_dim(counts, old + new, start, axis=0)


def sums_by_product(
  counts: Counts, start: Start, found: Found
) -> Int32[Array, "2 n"]:
  """Returns Σᵣ counts[start + r, found[r, i]], on a matrix unit."""
  found, num_buckets = jnp.asarray(found), counts.shape[1]
  missing = -num_buckets % LANES

  def look_up(item):
    row, counters = item
    high, low = _one_hot(row, num_buckets)
    lines = jnp.pad(counters, (0, missing)).reshape(-1, LANES)
    value = jnp.zeros(row.shape, jnp.int32)
    for shift in (0, 8, 16, 24):
      byte = ((lines >> shift) & 0xFF).astype(jnp.bfloat16)
      line = jnp.dot(high, byte, preferred_element_type=jnp.float32)
      chosen = (line * low.astype(jnp.float32)).sum(axis=1)
      value = value + (chosen.astype(jnp.int32) << shift)
    return value

  rows = jax.lax.dynamic_slice_in_dim(counts, start, found.shape[0], axis=0)
  return halves(jax.lax.map(look_up, (found, rows), batch_size=ROWS_AT_ONCE))


def halves(values: Int32[Array, "s n"]) -> Int32[Array, "2 n"]:
  """Returns the sums over rows of the upper and of the lower 16 bits.

  Whole numbers in 32 bits, so that the order of rows, their chunks and the
  device do not matter; `joined` makes numbers of them.
  """
  return jnp.stack([(values >> 16).sum(axis=0), (values & 0xFFFF).sum(axis=0)])


def joined(sums: Int32[Array, "2 n"]) -> Float[Array, " n"]:
  """Returns the sums that `halves` stand for, rounded to fp32."""
  return sums[0].astype(jnp.float32) * 65536 + sums[1].astype(jnp.float32)


def _places(counts: Counts, start: Start, found: Found) -> Int32[Array, " m"]:
  rows = start + jnp.arange(found.shape[0], dtype=jnp.int32)
  return (rows[:, None] * counts.shape[1] + found).reshape(-1)


def _one_hot(
  row: Int32[Array, " n"], num_buckets: int
) -> tuple[Float[Array, "n h"], Float[Array, "n k"]]:
  """Returns the rows' highs and lows, each as zeros and a one."""
  one_hot = functools.partial(jax.nn.one_hot, dtype=jnp.bfloat16)
  lines = -(-num_buckets // LANES)
  return one_hot(row // LANES, lines), one_hot(row % LANES, LANES)
