# SPDX-License-Identifier: Apache-2.0
"""Random projections a·x for the hash rows of a sketch: two ways.

`Dense` draws every a from N(0, I): 2·d operations a hash, the textbook way.
`Rotations` reads D hashes off one random rotation of a vector,

  √D · (H S₃)(H S₂)(H S₁) x / D^{3/2}

with H the Hadamard matrix of D = 2ᵐ ≥ d and Sᵢ diagonal random signs: each
entry is near N(0, ‖x‖²) and the entries are uncorrelated (Andoni et al. 2015,
"Practical and optimal LSH for angular distance", Sec. 4). H is applied as the
Kronecker product of two matrices of about √D: 12·√D operations a hash, a
quarter of the dense ones at 768 dimensions. Products that short run at a
fraction of a long one's rate on a CPU, so measure before choosing it there.

Both hand out their rows in chunks, so that the projections of a block of
vectors on all rows never lie in memory together.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

# A default fp32 matmul is bf16 on TPU and TF32 on GPU, and moves codes.
HIGHEST = jax.lax.Precision.HIGHEST

# Rows of a chunk: of 1,024 vectors and one hash a row half a megabyte of
# projections, which stay in a core's cache until they are counted.
CHUNK = 128
SMALLEST_ROTATION = 128  # fewer signs are not random enough

Vectors = Float[Array | np.ndarray, "n d"]
Start = int | Int32[Array, ""]


class Dense(NamedTuple):
  """Independent standard normal directions, L for each of R rows."""

  directions: Float[Array, "l r d"]

  @property
  def dimensions(self) -> int:
    """d, of the vectors."""
    return self.directions.shape[2]

  @property
  def chunk(self) -> int:
    """Rows that are projected at once."""
    return CHUNK

  def project(
    self, vectors: Vectors, start: Start, size: int
  ) -> Float[Array, "l {size} n"]:
    """Returns a·x of rows start … start + size − 1."""
    directions = jax.lax.dynamic_slice_in_dim(
      self.directions, start, size, axis=1
    )
    return jax.lax.dot_general(
      directions,
      jnp.asarray(vectors, jnp.float32),
      (((2,), (1,)), ((), ())),
      precision=HIGHEST,
    )


class Rotations(NamedTuple):
  """Random rotations, each of which serves D rows; the L hashes have others."""

  signs: Float[Array, "l blocks 3 w"]  # ±1
  padded: Float[Array, " d"]  # zeros: what remembers d

  @property
  def dimensions(self) -> int:
    """d, of the vectors."""
    return self.padded.shape[0]

  @property
  def chunk(self) -> int:
    """Rows that are projected at once: a rotation's."""
    return self.signs.shape[3]

  def project(
    self, vectors: Vectors, start: Start, size: int
  ) -> Float[Array, "l {size} n"]:
    """Returns the projections of rows start … start + size − 1.

    `start` is a multiple of `chunk`, `size` at most `chunk`.
    """
    hashes, _, _, width = self.signs.shape
    signs = jax.lax.dynamic_index_in_dim(
      self.signs, start // width, axis=1, keepdims=False
    )
    vectors = jnp.asarray(vectors, jnp.float32)
    missing = width - vectors.shape[1]
    turned = jnp.pad(vectors, ((0, 0), (0, missing))).T
    found = [_rotated(turned, signs[j])[:size] for j in range(hashes)]
    return jnp.stack(found)


Projection = Dense | Rotations


def dense(
  key: Key[Array, ""], *, dimensions: int, num_rows: int, hashes: int
) -> Dense:
  """Returns directions; row r's depend on the key and on r alone."""

  def row(number):
    a = jax.random.split(jax.random.fold_in(key, number), 4)[0]
    return jax.random.normal(a, (hashes, dimensions), jnp.float32)

  return Dense(jax.vmap(row, out_axes=1)(jnp.arange(num_rows)))


def rotations(
  key: Key[Array, ""], *, dimensions: int, num_rows: int, hashes: int
) -> Rotations:
  """Returns as many rotations as the rows need, D rows each."""
  width = max(SMALLEST_ROTATION, 1 << (dimensions - 1).bit_length())

  def block(number):
    a = jax.random.fold_in(key, number)
    return jax.random.rademacher(a, (hashes, 3, width), jnp.float32)

  blocks = -(-num_rows // width)
  return Rotations(
    signs=jax.vmap(block, out_axes=1)(jnp.arange(blocks)),
    padded=jnp.zeros(dimensions, jnp.float32),
  )


def _rotated(
  vectors: Float[Array, "w n"], signs: Float[Array, "3 w"]
) -> Float[Array, "w n"]:
  """Returns √D·R x, R the rotation of three rounds of signs."""
  width, count = vectors.shape
  bits = width.bit_length() - 1
  outer, inner = _hadamard(bits - bits // 2), _hadamard(bits // 2)
  shape = (len(outer), len(inner), count)
  for turn in range(3):
    cells = (vectors * signs[turn][:, None]).reshape(shape)
    cells = jnp.einsum("ij,jbn->ibn", outer, cells, precision=HIGHEST)
    cells = jnp.einsum("kb,ibn->ikn", inner, cells, precision=HIGHEST)
    # Every round has the length √D too long; the last one keeps it.
    scale = 1.0 if turn == 2 else width**-0.5
    vectors = cells.reshape(width, count) * jnp.float32(scale)
  return vectors


def _hadamard(bits: int) -> Float[np.ndarray, "s s"]:
  """Returns Sylvester's matrix of ±1, 2^bits × 2^bits."""
  matrix = np.ones((1, 1), np.float32)
  for _ in range(bits):
    matrix = np.block([[matrix, matrix], [matrix, -matrix]])
  return matrix
