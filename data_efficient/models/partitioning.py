# SPDX-License-Identifier: Apache-2.0
"""Where parameters and batches live on a mesh of devices.

The mesh has two axes: "data" splits the examples of a batch, "model" splits
the vocabulary, the heads and the feed-forward width. The layers name the axes
of their arrays; `RULES` says which mesh axis a name goes to.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax.linen import partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data_efficient.models import networks

# Logical axis -> mesh axis; None keeps the axis whole on every device. The
# residual stream ("embed") stays whole, so a layer needs two reductions.
RULES: tuple[tuple[str, str | None], ...] = (
  ("batch", "data"),
  ("vocab", "model"),
  ("mlp", "model"),
  ("heads", "model"),
  ("joined_kv", "model"),
  ("embed", None),
  ("kv", None),
  ("length", None),
  ("relpos_buckets", None),
  ("positions", None),
  ("token_types", None),
)


class PartitioningError(ValueError):
  """Devices and sizes that do not divide."""


def mesh(
  *, model_parallel: int, devices: Sequence[Any] | np.ndarray | None = None
) -> Mesh:
  """A mesh (data, model) over devices.

  Args:
    model_parallel: devices that share one copy of the parameters, at least 1.
    devices: all devices of all processes by default; neighbours in the list
      share a copy.

  Raises:
    PartitioningError: the number of devices is no multiple of
      `model_parallel`.
  """
  devices = np.asarray(jax.devices() if devices is None else devices)
  if model_parallel < 1 or devices.size % model_parallel:
    raise PartitioningError(
      f"{devices.size} devices cannot be split into groups of"
      f" model_parallel = {model_parallel}: choose one of"
      f" {[n for n in range(1, devices.size + 1) if devices.size % n == 0]}"
    )
  return Mesh(devices.reshape(-1, model_parallel), ("data", "model"))


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Splits the first axis of an array over "data"."""
  return NamedSharding(mesh, PartitionSpec("data"))


def place(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
  """An array that every process holds whole, laid out over the devices.

  Each process hands its own devices their rows; nothing is sent.
  """
  array = np.asarray(array)
  return jax.make_array_from_callback(
    array.shape, sharding, lambda index: array[index]
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Keeps a whole copy on every device."""
  return NamedSharding(mesh, PartitionSpec())


def parameter_shardings(
  config: networks.Network, mesh: Mesh
) -> networks.Parameters:
  """A tree like the parameters', with the sharding of each array.

  Raises:
    PartitioningError: an axis does not divide over the mesh.
  """

  def sharding(path: Any, axes: PartitionSpec, shape: Any) -> NamedSharding:
    spec = partitioning.logical_to_mesh_axes(tuple(axes), RULES)
    for size, logical, name in zip(shape.shape, axes, spec, strict=True):
      if name is not None and size % mesh.shape[name]:
        raise PartitioningError(
          f"{jax.tree_util.keystr(path, simple=True, separator='/')}: axis"
          f" {logical!r} of size {size} does not divide over the mesh's"
          f" {name!r} axis of {mesh.shape[name]} devices"
        )
    return NamedSharding(mesh, spec)

  return jax.tree_util.tree_map_with_path(
    sharding,
    networks.parameter_axes(config),
    networks.parameter_shapes(config),
    is_leaf=lambda node: isinstance(node, PartitionSpec),
  )


@contextlib.contextmanager
def activate(mesh: Mesh) -> Iterator[None]:
  """Makes the layers' own constraints hold inside: call jitted steps in it."""
  with jax.set_mesh(mesh), partitioning.axis_rules(RULES):
    yield
