# SPDX-License-Identifier: Apache-2.0
"""p-stable locality-sensitive hashing of vectors, for L2 distance.

Row r sends a vector x to L integer codes, and these to one of B buckets:

  cᵣⱼ(x) = ⌊(aᵣⱼ·x + bᵣⱼ) / w⌋        aᵣⱼ ~ N(0, I), bᵣⱼ ~ U[0, w)
  hᵣ(x) = ((Σⱼ mᵣⱼ·cᵣⱼ(x) + sᵣ) mod p) mod B        p = 2³¹ − 1

The first line is the hash of Datar et al. (2004), "Locality-sensitive hashing
scheme based on p-stable distributions", Sec. 3. The second is Carter and
Wegman's universal family: two different codes share a bucket with probability
1/B, whatever the codes are, so that the bias of folding is known exactly and
`sketch.query` can take it off again.

L, hashes a row, is 1 in the paper. Two vectors collide when all L codes agree,
so the kernel becomes k(c)ᴸ: a larger L thins the tail of the kernel.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, UInt32

MERSENNE_31 = 2**31 - 1
# The largest float32 below 2³⁰: codes stay in ±2³⁰, and adding 2³⁰ to them
# gives numbers below p, where no two codes are congruent.
LARGEST_CODE = 2**30 - 64

Vectors = Float[Array | np.ndarray, "n d"]
Distances = Float[Array | np.ndarray, "*axes"]


class PStableHash(NamedTuple):
  """What one draw of R hash rows consists of."""

  # h = L·r: first the first hash of all rows, then the second of all rows. A
  # last axis of L would be padded to 128 lanes on TPU.
  directions: Float[Array, "d h"]  # aᵣⱼ, standard normal
  offsets: Float[Array, " h"]  # bᵣⱼ / w, in [0, 1)
  width: Float[Array, ""]  # w, the unit of the vectors
  multipliers: UInt32[Array, " h"]  # mᵣⱼ, in [1, p)
  shifts: UInt32[Array, " r"]  # sᵣ, in [0, p)


def init(
  key: Key[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  width: float | int,
  hashes_per_row: int = 1,
) -> PStableHash:
  """Returns R rows of L hashes drawn from `key`.

  Row r depends on the key and on r alone: the same seed gives the same rows in
  every process, and 100 rows are the first 100 of 1,000.

  Raises:
    ValueError: a size below 1, or a width that is not a positive number.
  """
  if min(dimensions, num_rows, hashes_per_row) < 1:
    raise ValueError(
      "a hash needs at least one dimension, one row and one hash a row, got "
      f"dimensions={dimensions}, num_rows={num_rows}, "
      f"hashes_per_row={hashes_per_row}"
    )
  if not (np.isfinite(width) and width > 0):
    raise ValueError(f"the width must be a positive number, got {width}")
  return _draw(
    key,
    jnp.float32(width),
    dimensions=dimensions,
    num_rows=num_rows,
    hashes=hashes_per_row,
  )


@functools.partial(
  jax.jit, static_argnames=("dimensions", "num_rows", "hashes")
)
def _draw(
  key: Key[Array, ""],
  width: Float[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  hashes: int,
) -> PStableHash:
  def draw_row(row):
    a, b, m, s = jax.random.split(jax.random.fold_in(key, row), 4)
    return (
      jax.random.normal(a, (hashes, dimensions), jnp.float32),
      jax.random.uniform(b, (hashes,), jnp.float32),
      jax.random.randint(m, (hashes,), 1, MERSENNE_31, jnp.int32),
      jax.random.randint(s, (), 0, MERSENNE_31, jnp.int32),
    )

  directions, offsets, multipliers, shifts = jax.vmap(draw_row)(
    jnp.arange(num_rows)
  )
  return PStableHash(
    directions=directions.transpose(2, 1, 0).reshape(dimensions, -1),
    offsets=offsets.T.reshape(-1),
    width=width,
    multipliers=multipliers.T.reshape(-1).astype(jnp.uint32),
    shifts=shifts.astype(jnp.uint32),
  )


@jax.jit
def codes(hashes: PStableHash, vectors: Vectors) -> Int32[Array, "n h"]:
  """Returns c(x) = ⌊(a·x + b) / w⌋ of each vector and hash.

  Codes are clipped to ±2³⁰. float32 keeps them exact while ‖x‖/w stays below
  about 10⁶; a narrower cell cannot be told from its neighbour.
  """
  # A default fp32 matmul is bf16 on TPU and TF32 on GPU, and moves codes.
  projections = jnp.matmul(
    jnp.asarray(vectors, jnp.float32),
    hashes.directions,
    precision=jax.lax.Precision.HIGHEST,
  )
  cells = jnp.floor(projections / hashes.width + hashes.offsets[None, :])
  return jnp.clip(cells, -LARGEST_CODE, LARGEST_CODE).astype(jnp.int32)


@functools.partial(jax.jit, static_argnames=("num_buckets",))
def buckets(
  hashes: PStableHash, vectors: Vectors, *, num_buckets: int
) -> Int32[Array, "n r"]:
  """Returns hᵣ(x) in [0, B) of each vector and row.

  A vector with NaN gets some bucket in range; mask it where it is counted.

  Raises:
    ValueError: fewer than 1 or more than 2³¹ − 1 buckets.
  """
  if not 1 <= num_buckets <= MERSENNE_31:
    raise ValueError(
      f"num_buckets must be from 1 to {MERSENNE_31}, got {num_buckets}"
    )
  keys = (codes(hashes, vectors) + 2**30).astype(jnp.uint32)
  num_rows = hashes.shifts.shape[0]
  mixed = hashes.shifts[None, :]
  for start in range(0, keys.shape[1], num_rows):
    part = slice(start, start + num_rows)
    mixed = _multiply_add_mod_mersenne(
      keys[:, part], hashes.multipliers[None, part], mixed
    )
  return (mixed % jnp.uint32(num_buckets)).astype(jnp.int32)


def _multiply_add_mod_mersenne(
  x: UInt32[Array, "n r"], m: UInt32[Array, "1 r"], s: UInt32[Array, "#n r"]
) -> UInt32[Array, "n r"]:
  """Returns (m·x + s) mod 2³¹ − 1 for m, x, s below it, in 32 bits.

  With x = 2¹⁶x₁ + x₀ and m alike, and 2³¹ ≡ 1, the four partial products are
  brought below 2³¹ before they are added.
  """
  x1, x0 = x >> 16, x & 0xFFFF
  m1, m0 = m >> 16, m & 0xFFFF
  middle = m1 * x0 + m0 * x1
  total = _fold(2 * (m1 * x1)) + _fold(m0 * x0)
  total = _fold(total) + (middle >> 15)
  total = _fold(total) + ((middle & 0x7FFF) << 16)
  total = _fold(_fold(total) + s)
  return jnp.where(total >= MERSENNE_31, total - MERSENNE_31, total)


def _fold(x: UInt32[Array, "#n r"]) -> UInt32[Array, "#n r"]:
  """Returns a number below 2³¹ + 1 that is congruent to x mod 2³¹ − 1."""
  return (x & MERSENNE_31) + (x >> 31)


@functools.partial(jax.jit, static_argnames=("hashes_per_row",))
def collision_probability(
  distance: Distances,
  *,
  width: float | Float[Array | np.ndarray, ""],
  hashes_per_row: int = 1,
) -> Float[Array, "*axes"]:
  """Returns k(c)ᴸ = P[x and y share all L codes] at ‖x − y‖ = c.

  k(c) = 1 − 2Φ(−t) − √(2/π)/t · (1 − exp(−t²/2)),   t = w/c,   k(0) = 1

  (Datar et al. 2004, Sec. 3.2). It falls from 1 to w/(√(2π)·c) far away: a
  heavy tail, so that a narrow cell still sees distant points a little, unless
  L is larger than 1.
  """
  distance = jnp.asarray(distance, jnp.float32)
  apart = distance > 0
  t = jnp.asarray(width, jnp.float32) / jnp.where(apart, distance, 1.0)
  inside = jax.lax.erf(t / np.sqrt(2.0).astype(np.float32))
  edge = np.sqrt(2 / np.pi).astype(np.float32) * -jnp.expm1(-t * t / 2) / t
  return jnp.where(apart, inside - edge, 1.0) ** hashes_per_row
