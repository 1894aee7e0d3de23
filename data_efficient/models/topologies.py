# SPDX-License-Identifier: Apache-2.0
"""Ahead-of-time compilation for TPU chips that are not there.

libtpu compiles for a described slice and says how much memory a chip needs;
nothing is run. Tests (`make tpu`) and plans share it. libtpu holds a lock
file: one process at a time.
"""

import functools
import importlib.util
import os
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# 16 chips of each kind, by libtpu's names. It makes them all in one process,
# whatever TPU_ACCELERATOR_TYPE says.
SLICES = {"v5e": "v5e:4x4", "v5p": "v5p:2x2x4", "v6e": "v6e:4x4"}
CHIPS_OF_A_SLICE = 16

# libtpu would ask a TPU machine's metadata, which is not there either.
_ENVIRONMENT = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-256",
  "TPU_WORKER_HOSTNAMES": "localhost",
}

# The compiler's search for fast programs takes most of its time; this is the
# least of it.
QUICKLY = {"exec_time_optimization_effort": -1.0}


class TopologyError(RuntimeError):
  """libtpu is not there, or cannot be used now."""


@functools.cache
def slice_of(chip: str) -> np.ndarray:
  """The 16 devices of a slice of chips: "v5e", "v5p" or "v6e".

  Raises:
    TopologyError: no libtpu, another process that holds it, or no such chip.
  """
  if chip not in SLICES:
    raise TopologyError(
      f"libtpu is not asked for {chip!r}; there are {', '.join(SLICES)}"
    )
  if importlib.util.find_spec("libtpu") is None:
    raise TopologyError("libtpu is not installed; `make tpu` installs it")
  for name, value in _ENVIRONMENT.items():
    os.environ.setdefault(name, value)
  try:
    topology = topologies.get_topology_desc(SLICES[chip], platform="tpu")
  except jax.errors.JaxRuntimeError as error:
    raise TopologyError(
      "libtpu did not start. If its lock file is named below, wait for the "
      "process that holds it: where libtpu is installed, that is any JAX "
      f"process without JAX_PLATFORMS=cpu: {error}"
    ) from error
  return np.array(topology.devices)


def struct(
  mesh: Mesh, shape: tuple[int, ...], dtype: Any, *axes: str | None
) -> jax.ShapeDtypeStruct:
  """An array of the mesh, split along the named axes and whole elsewhere."""
  sharding = NamedSharding(mesh, PartitionSpec(*axes))
  return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def laid_out(shapes: Any, shardings: Any) -> Any:
  """A tree of shapes with the tree of their shardings."""
  return jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=sharding
    ),
    shapes,
    shardings,
  )


def peak_bytes(compiled: Any) -> int:
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
