# SPDX-License-Identifier: Apache-2.0
"""Exact kernel sums over a data set: what the sketch estimates.

Quadratic in the number of vectors, so for samples and for tests.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from data_efficient.kernels import angular, p_stable

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


@jax.jit
def angles(queries: Queries, data: Data) -> Float[Array, "m n"]:
  """Returns the angle of each query and each vector, from 0 to π.

  2·atan2(‖x̂ − ŷ‖, ‖x̂ + ŷ‖): the arc cosine of x̂·ŷ has no digits left between
  near duplicates. A zero vector has some angle; mask it where it matters.
  """
  x, y = _unit(queries), _unit(data)
  return 2 * jnp.arctan2(distances(x, y), distances(x, -y))


def _unit(vectors: Queries) -> Float[Array, "m d"]:
  vectors = jnp.asarray(vectors, jnp.float32)
  # By the largest entry first: squares would overflow or vanish.
  largest = jnp.abs(vectors).max(axis=1, keepdims=True)
  vectors = vectors / jnp.where(largest > 0, largest, 1.0)
  lengths = jnp.sqrt(jnp.square(vectors).sum(axis=1, keepdims=True))
  return vectors / jnp.where(lengths > 0, lengths, 1.0)


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

  k is `p_stable.collision_probability` at this width. Memory is one block of
  distances, m × block, and never m × n.
  """

  def values(rows):
    return p_stable.collision_probability(
      distances(queries, rows), width=width, hashes_per_row=hashes_per_row
    )

  return _sums(values, queries.shape[0], data, block)


@functools.partial(jax.jit, static_argnames=("block", "bits"))
def angular_kernel_sums(
  queries: Queries, data: Data, *, bits: int, block: int
) -> Float[Array, " m"]:
  """Returns Σ_{x∈D} (1 − θ(x, y)/π)ᴸ for each query y, in vectors of D.

  Memory is one block of angles, as in `kernel_sums`.
  """

  def values(rows):
    return angular.collision_probability(angles(queries, rows), bits=bits)

  return _sums(values, queries.shape[0], data, block)


def _sums(
  values: Callable[[Float[Array, "b d"]], Float[Array, "m b"]],
  queries: int,
  data: Data,
  block: int,
) -> Float[Array, " m"]:
  blocks, present = _blocks(jnp.asarray(data, jnp.float32), block)

  def add_block(sums, item):
    rows, mask = item
    return sums + jnp.where(mask[None, :], values(rows), 0.0).sum(axis=1), None

  zeros = jnp.zeros(queries, jnp.float32)
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
