# SPDX-License-Identifier: Apache-2.0
"""Whether two parameter trees are the same, whatever file they came from.

Sums of mixed integers, on the devices where the parameters lie: exact in any
order, so neither the mesh nor the number of processes matters, and a network
of 8 billion parameters takes seconds. Values are compared as bfloat16, so that
a network that is kept rounded (`networks.operand_dtypes`) is still itself.
"""

import jax
import jax.numpy as jnp
import numpy as np
import xxhash
from jaxtyping import Array, UInt32

from data_efficient.models import networks, parameter_trees

# Odd numbers without a pattern in their bits (those of xxHash and MurmurHash).
_LANES = ((0x9E3779B1, 0x85EBCA77), (0xC2B2AE3D, 0x27D4EB2F))
_MIX = 0x165667B1


def fingerprint(parameters: networks.Parameters) -> str:
  """Of names, shapes and values rounded to bfloat16: 16 hex digits.

  It tells networks apart by mistake, not by design: whoever wants to can make
  another network of the same fingerprint.
  """
  digest = xxhash.xxh3_64()
  flat = parameter_trees.flatten(parameters)
  for path in sorted(flat):
    sums = np.asarray(jax.device_get(_sums(flat[path])), np.uint32)
    digest.update(f"{path} {flat[path].shape} {sums.tolist()}\n".encode())
  return digest.hexdigest()


@jax.jit
def _sums(values: Array) -> UInt32[Array, " l"]:
  """Each lane's sum, modulo 2³², of a mix of every value and its position."""
  bits = jax.lax.bitcast_convert_type(values.astype(jnp.bfloat16), jnp.uint16)
  bits = bits.astype(jnp.uint32)
  position = jnp.zeros((), jnp.uint32)
  for axis, size in enumerate(values.shape):
    along = jax.lax.broadcasted_iota(jnp.uint32, values.shape, axis)
    position = position * np.uint32(size) + along
  found = []
  for first, second in _LANES:
    mixed = position * np.uint32(first) ^ bits * np.uint32(second)
    mixed = (mixed ^ (mixed >> 15)) * np.uint32(_MIX)
    found.append(jnp.sum(mixed ^ (mixed >> 13), dtype=jnp.uint32))
  return jnp.stack(found)
