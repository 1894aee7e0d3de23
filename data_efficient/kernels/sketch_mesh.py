# SPDX-License-Identifier: Apache-2.0
"""A sketch over a mesh: each device counts blocks of its own, added at the end.

Blocks, not rows, are split. Every device then runs the very program that one
device would run on the same block, so that hash codes, and with them counters,
are the same bits for any number of devices; nothing is sent while a pass runs,
and no host reads vectors that another one reads. The price is a whole sketch a
device: 80 MB at the paper's size.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int32

from data_efficient.kernels import hashing, sketch

AXIS = "data"
Vectors = Float[Array | np.ndarray, "n d"]


def init(mesh: Mesh, *, num_rows: int, num_buckets: int) -> sketch.Sketch:
  """Returns a sketch of no vector a device, [devices, R, B] and [devices].

  Args:
    mesh: with one axis, "data".
    num_rows: R.
    num_buckets: B.

  Raises:
    ValueError: see `sketch.init`.
  """
  one = jax.eval_shape(
    lambda: sketch.init(num_rows=num_rows, num_buckets=num_buckets)
  )

  def zeros():
    return jax.tree.map(
      lambda leaf: jnp.zeros((mesh.size, *leaf.shape), leaf.dtype), one
    )

  return jax.jit(zeros, out_shardings=_split(mesh))()


def placed(
  mesh: Mesh, counts: Int32[np.ndarray, "r w"], total: int
) -> sketch.Sketch:
  """Returns a sketch from the host, whole on every device."""
  whole = sketch.Sketch(counts, np.asarray(total, np.int32))
  return jax.device_put(whole, NamedSharding(mesh, PartitionSpec()))


def update(
  mesh: Mesh,
  sketches: sketch.Sketch,
  hashes: hashing.Hashes,
  vectors: Vectors,
  *,
  mask: Bool[Array | np.ndarray, " n"],
) -> sketch.Sketch:
  """Returns the sketches after a block for each device; consumes the old ones.

  The first n/devices vectors go to the first device, and so on; see
  `sketch.update`.
  """
  return _update(mesh)(sketches, hashes, vectors, mask)


def gathered(mesh: Mesh, sketches: sketch.Sketch) -> sketch.Sketch:
  """Returns the sketch of all devices' vectors, whole on every device."""
  return _gathered(mesh)(sketches)


def query(
  mesh: Mesh,
  whole: sketch.Sketch,
  hashes: hashing.Hashes,
  vectors: Vectors,
) -> Float[Array, " n"]:
  """Returns `sketch.query` of a block for each device."""
  return _query(mesh)(whole, hashes, vectors)


@functools.cache
def _update(mesh: Mesh):
  def on_one(sketches, hashes, vectors, mask):
    mine = jax.tree.map(lambda leaf: leaf[0], sketches)
    after = sketch.update(mine, hashes, vectors, mask=mask)
    return jax.tree.map(lambda leaf: leaf[None], after)

  split, whole = PartitionSpec(AXIS), PartitionSpec()
  mapped = jax.shard_map(
    on_one,
    mesh=mesh,
    in_specs=(split, whole, split, split),
    out_specs=split,
    check_vma=False,
  )
  return jax.jit(mapped, donate_argnums=0)


@functools.cache
def _gathered(mesh: Mesh):
  def add(sketches):
    return jax.tree.map(lambda leaf: leaf.sum(axis=0), sketches)

  return jax.jit(add, out_shardings=NamedSharding(mesh, PartitionSpec()))


@functools.cache
def _query(mesh: Mesh):
  split, whole = PartitionSpec(AXIS), PartitionSpec()
  mapped = jax.shard_map(
    sketch.query,
    mesh=mesh,
    in_specs=(whole, whole, split),
    out_specs=split,
    check_vma=False,
  )
  return jax.jit(mapped)


def _split(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec(AXIS))
