# SPDX-License-Identifier: Apache-2.0
"""Arrays that are not there, on chips that are not there."""

import jax
from jax.sharding import NamedSharding, PartitionSpec


def struct(mesh, shape, dtype, *axes) -> jax.ShapeDtypeStruct:
  """An array of the mesh, split along the named axes and whole elsewhere."""
  sharding = NamedSharding(mesh, PartitionSpec(*axes))
  return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def laid_out(shapes, shardings):
  """A tree of shapes with the tree of their shardings."""
  return jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    shapes,
    shardings,
  )


def peak_bytes(compiled) -> int:
  """Bytes that one chip needs for a compiled program."""
  memory = compiled.memory_analysis()
  at_once = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )
  # libtpu counts temporaries in its own peak and not always in the others.
  return max(at_once, memory.peak_memory_in_bytes)
