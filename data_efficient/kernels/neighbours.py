# SPDX-License-Identifier: Apache-2.0
"""The k nearest keys of each query, by cosine, in blocks of a matrix product.

What a dense kernel of a large pool becomes: n × k pairs in place of n².
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Vectors = Float[Array | np.ndarray, "n d"]

# Below every cosine: of a place that no key has taken yet.
_NEVER = -2.0
_QUERIES, _KEYS = 1024, 8192


class Nearest(NamedTuple):
  """Keys by falling cosine; of equal ones the first key first.

  Attributes:
    cosine: to the key.
    row: the key's number.
  """

  cosine: Float[Array | np.ndarray, "n k"]
  row: Int[Array | np.ndarray, "n k"]


def nearest(
  queries: Vectors,
  keys: Float[Array | np.ndarray, "m d"],
  *,
  count: int,
) -> Nearest:
  """Returns the keys nearest to each query, on the host.

  Args:
    queries: unit vectors.
    keys: unit vectors.
    count: k, from 1 to the number of keys.

  Raises:
    ValueError: there are not so many keys.
  """
  if not 1 <= count <= len(keys):
    raise ValueError(f"the {count} nearest of {len(keys)} keys")
  blocks = [
    jnp.asarray(_padded(keys[start : start + _KEYS], min(_KEYS, len(keys))))
    for start in range(0, len(keys), _KEYS)
  ]
  cosines = np.empty((len(queries), count), np.float32)
  rows = np.empty((len(queries), count), np.int32)
  size = min(_QUERIES, len(queries))
  for start in range(0, len(queries), size):
    some = queries[start : start + size]
    found = Nearest(
      jnp.full((size, count), _NEVER, jnp.float32),
      jnp.zeros((size, count), jnp.int32),
    )
    block = jnp.asarray(_padded(some, size))
    for number, held in enumerate(blocks):
      first = number * _KEYS
      there = min(len(keys) - first, len(held))
      found = merge(found, block, held, np.int32(first), np.int32(there))
    end = start + len(some)
    cosines[start:end] = np.asarray(found.cosine)[: len(some)]
    rows[start:end] = np.asarray(found.row)[: len(some)]
  return Nearest(cosines, rows)


@functools.partial(jax.jit, donate_argnums=0)
def merge(
  found: Nearest,
  queries: Vectors,
  keys: Float[Array | np.ndarray, "m d"],
  first: Int[Array | np.ndarray, ""],
  there: Int[Array | np.ndarray, ""],
) -> Nearest:
  """Returns the nearest of those found and of some further keys.

  Args:
    found: of earlier keys; consumed.
    queries: unit vectors.
    keys: unit vectors.
    first: number of the first of these keys.
    there: how many of them are not padding.
  """
  # A plain product is bf16 on TPUs, and gives other neighbours.
  cosine = jnp.matmul(queries, keys.T, precision=jax.lax.Precision.HIGHEST)
  number = jnp.arange(len(keys), dtype=jnp.int32)
  cosine = jnp.where(number[None, :] < there, cosine, _NEVER)
  count = found.cosine.shape[1]
  # Earlier keys stand first, so that of equal ones they stay.
  both = jnp.concatenate([found.cosine, cosine], axis=1)
  numbers = jnp.broadcast_to(first + number[None, :], cosine.shape)
  rows = jnp.concatenate([found.row, numbers], axis=1)
  best, place = jax.lax.top_k(both, count)
  return Nearest(best, jnp.take_along_axis(rows, place, axis=1))


def _padded(
  values: Float[Array | np.ndarray, "r d"], rows: int
) -> Float[np.ndarray, "p d"]:
  found = np.zeros((rows, values.shape[1]), np.float32)
  found[: len(values)] = values
  return found
