# SPDX-License-Identifier: Apache-2.0
"""Arrays that are not there, on chips that are not there."""

import jax
from jax.sharding import NamedSharding, PartitionSpec

# 16 chips of each kind, by libtpu's names. It makes them all in one process,
# whatever TPU_ACCELERATOR_TYPE says.
TOPOLOGY = {"v5e": "v5e:4x4", "v5p": "v5p:2x2x4", "v6e": "v6e:4x4"}
# Bytes of HBM of one chip.
MEMORY = {"v5e": 16 * 2**30, "v5p": 95 * 2**30, "v6e": 32 * 2**30}


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


def flops(compiled) -> str:
  """Operations of one chip, as libtpu counts them: a loop's body once."""
  found = (compiled.cost_analysis() or {}).get("flops")
  return "no FLOPs" if found is None else f"{found:.3g} FLOPs a chip"
