# SPDX-License-Identifier: Apache-2.0
"""p-stable locality-sensitive hashing of vectors, for L2 distance.

Row r sends a vector x to L integer codes:

  cᵣⱼ(x) = ⌊(aᵣⱼ·x + bᵣⱼ) / w⌋        aᵣⱼ ~ N(0, I), bᵣⱼ ~ U[0, w)

(Datar et al. 2004, "Locality-sensitive hashing scheme based on p-stable
distributions", Sec. 3), and `hashing` folds these into one of B buckets.

L, hashes a row, is 1 in the paper. Two vectors collide when all L codes agree,
so the kernel becomes k(c)ᴸ: a larger L thins the tail of the kernel.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, UInt32

from data_efficient.kernels import hashing, projections

# The largest float32 below 2³⁰: codes stay in ±2³⁰, and adding 2³⁰ to them
# gives numbers below p, where no two codes are congruent.
LARGEST_CODE = 2**30 - 64

Vectors = Float[Array | np.ndarray, "n d"]
Distances = Float[Array | np.ndarray, "*axes"]


class PStableHash(NamedTuple):
  """What one draw of R hash rows consists of; see `hashing.Hashes`."""

  projection: projections.Projection
  offsets: Float[Array, "l r"]  # bᵣⱼ / w, in [0, 1)
  width: Float[Array, ""]  # w, the unit of the vectors
  multipliers: UInt32[Array, "l r"]  # mᵣⱼ, in [1, p)
  shifts: UInt32[Array, " r"]  # sᵣ, in [0, p)

  def codes(
    self, vectors: Vectors, start: projections.Start, size: int
  ) -> Int32[Array, "l {size} n"]:
    """Returns c(x) of rows start … start + size − 1.

    Codes are clipped to ±2³⁰. float32 keeps them exact while ‖x‖/w stays below
    about 10⁶; a narrower cell cannot be told from its neighbour.
    """
    found = self.projection.project(vectors, start, size)
    offsets = jax.lax.dynamic_slice_in_dim(self.offsets, start, size, axis=1)
    cells = jnp.floor(found / self.width + offsets[:, :, None])
    return jnp.clip(cells, -LARGEST_CODE, LARGEST_CODE).astype(jnp.int32)

  def words(
    self, vectors: Vectors, start: projections.Start, size: int
  ) -> list[UInt32[Array, "{size} n"]]:
    """Returns L words, c(x) + 2³⁰, of rows start … start + size − 1."""
    return list((self.codes(vectors, start, size) + 2**30).astype(jnp.uint32))


def init(
  key: Key[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  width: float | int,
  hashes_per_row: int = 1,
  structured: bool = False,
) -> PStableHash:
  """Returns R rows of L hashes drawn from `key`.

  Row r depends on the key and on r alone: the same seed gives the same rows in
  every process, and 100 rows are the first 100 of 1,000.

  Args:
    key: of the draw.
    dimensions: d, of the vectors.
    num_rows: R.
    width: w, the unit of the vectors.
    hashes_per_row: L.
    structured: projections by `projections.Rotations`, not dense ones.

  Raises:
    ValueError: a size below 1, or a width that is not a positive number.
  """
  hashing.check_sizes(
    dimensions=dimensions, num_rows=num_rows, hashes_per_row=hashes_per_row
  )
  if not (np.isfinite(width) and width > 0):
    raise ValueError(f"the width must be a positive number, got {width}")
  return _draw(
    key,
    jnp.float32(width),
    dimensions=dimensions,
    num_rows=num_rows,
    hashes=hashes_per_row,
    structured=structured,
  )


@functools.partial(
  jax.jit, static_argnames=("dimensions", "num_rows", "hashes", "structured")
)
def _draw(
  key: Key[Array, ""],
  width: Float[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  hashes: int,
  structured: bool,
) -> PStableHash:
  def row(number):
    b = jax.random.split(jax.random.fold_in(key, number), 4)[1]
    return jax.random.uniform(b, (hashes,), jnp.float32)

  draw = projections.rotations if structured else projections.dense
  multipliers, shifts = hashing.draw_folding(
    key, num_rows=num_rows, num_words=hashes
  )
  return PStableHash(
    projection=draw(
      key, dimensions=dimensions, num_rows=num_rows, hashes=hashes
    ),
    offsets=jax.vmap(row, out_axes=1)(jnp.arange(num_rows)),
    width=width,
    multipliers=multipliers,
    shifts=shifts,
  )


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
