# SPDX-License-Identifier: Apache-2.0
"""Exact kernel sums over a data set: what the sketch estimates.

Quadratic in the number of vectors, so for samples and for tests.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_efficient.kernels import hashing

Queries = Float[Array | np.ndarray, "m d"]
Data = Float[Array | np.ndarray, "n d"]


@jax.jit
def distances(queries: Queries, data: Data) -> Float[Array, "m n"]:
  """Returns ‖x − y‖ of each query and each vector.

  From the differences themselves: ‖x‖² + ‖y‖² − 2x·y loses all digits between
  near duplicates, which a narrow kernel lives on.
  """
  x = jnp.asarray(queries, jnp.float32)[:, None, :]
  y = jnp.asarray(data, jnp.float32)[None, :, :]
  return jnp.sqrt(jnp.square(x - y).sum(axis=-1))


@functools.partial(jax.jit, static_argnames=("block", "hashes_per_row"))
def kernel_sums(
  queries: Queries,
  data: Data,
  *,
  width: float | Float[Array | np.ndarray, ""],
  block: int,
  hashes_per_row: int = 1,
) -> Float[Array, " m"]:
  """Returns Σ_{x∈D} k(‖x − y‖)ᴸ for each query y, in vectors of D.

  k is `hashing.collision_probability` at this width. Memory is one block of
  distances, m × block, and never m × n.
  """
  blocks, present = _blocks(jnp.asarray(data, jnp.float32), block)

  def add_block(sums, item):
    rows, mask = item
    values = hashing.collision_probability(
      distances(queries, rows), width=width, hashes_per_row=hashes_per_row
    )
    return sums + jnp.where(mask[None, :], values, 0.0).sum(axis=1), None

  zeros = jnp.zeros(queries.shape[0], jnp.float32)
  return jax.lax.scan(add_block, zeros, (blocks, present))[0]


def _blocks(data: Float[Array, "n d"], block: int) -> tuple[Array, Array]:
  """Returns the data as [blocks, block, d], and which rows are not padding."""
  count = -(-data.shape[0] // block)
  missing = count * block - data.shape[0]
  padded = jnp.pad(data, ((0, missing), (0, 0)))
  present = jnp.arange(count * block) < data.shape[0]
  return (
    padded.reshape(count, block, data.shape[1]),
    present.reshape(count, block),
  )
