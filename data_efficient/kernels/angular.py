# SPDX-License-Identifier: Apache-2.0
"""Signed random projections: locality-sensitive hashing by angle.

Row r sends a vector x to L bits, [aᵣⱼ·x ≥ 0] with aᵣⱼ ~ N(0, I) (Charikar
2002, "Similarity estimation techniques from rounding algorithms", Sec. 3).
Vectors at angle θ share one with probability 1 − θ/π, and all with

  k(θ) = (1 − θ/π)ᴸ

The lengths of vectors do not matter. The bits make one word, which `hashing`
folds into one of B buckets.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from data_efficient.kernels import hashing, projections

MOST_BITS = 30  # a word stays below p = 2³¹ − 1

Vectors = Float[Array | np.ndarray, "n d"]
Angles = Float[Array | np.ndarray, "*axes"]


class AngularHash(NamedTuple):
  """What one draw of R hash rows consists of; see `hashing.Hashes`."""

  projection: projections.Projection
  multipliers: UInt32[Array, "1 r"]
  shifts: UInt32[Array, " r"]

  def words(
    self, vectors: Vectors, start: projections.Start, size: int
  ) -> list[UInt32[Array, "{size} n"]]:
    """Returns one word of L bits, of rows start … start + size − 1."""
    found = self.projection.project(vectors, start, size)
    word = jnp.zeros(found.shape[1:], jnp.uint32)
    for bit in range(found.shape[0]):
      word = word * 2 + (found[bit] >= 0).astype(jnp.uint32)
    return [word]


def init(
  key: Key[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  bits: int,
  structured: bool = False,
) -> AngularHash:
  """Returns R rows of L bits drawn from `key`; row r depends on r alone.

  Args:
    key: of the draw.
    dimensions: d, of the vectors.
    num_rows: R.
    bits: L, from 1 to 30.
    structured: projections by `projections.Rotations`, not dense ones.

  Raises:
    ValueError: a size below 1, or too many bits.
  """
  hashing.check_sizes(
    dimensions=dimensions, num_rows=num_rows, hashes_per_row=bits
  )
  if bits > MOST_BITS:
    raise ValueError(f"a row has at most {MOST_BITS} bits, got {bits}")
  return _draw(
    key,
    dimensions=dimensions,
    num_rows=num_rows,
    bits=bits,
    structured=structured,
  )


@functools.partial(
  jax.jit, static_argnames=("dimensions", "num_rows", "bits", "structured")
)
def _draw(
  key: Key[Array, ""],
  *,
  dimensions: int,
  num_rows: int,
  bits: int,
  structured: bool,
) -> AngularHash:
  draw = projections.rotations if structured else projections.dense
  multipliers, shifts = hashing.draw_folding(
    key, num_rows=num_rows, num_words=1
  )
  return AngularHash(
    projection=draw(key, dimensions=dimensions, num_rows=num_rows, hashes=bits),
    multipliers=multipliers,
    shifts=shifts,
  )


@functools.partial(jax.jit, static_argnames=("bits",))
def collision_probability(angle: Angles, *, bits: int) -> Float[Array, "*axes"]:
  """Returns k(θ) = (1 − θ/π)ᴸ, the angle in radians from 0 to π."""
  angle = jnp.asarray(angle, jnp.float32)
  return (1 - angle / np.float32(np.pi)) ** bits
