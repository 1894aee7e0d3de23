# SPDX-License-Identifier: Apache-2.0
"""T5X's format before Orbax, in which T5 1.1 and Flan-T5 were published.

A directory: `checkpoint`, a msgpack of the tree, and beside it one zarr array
a parameter, `target.encoder.layers_0.mlp.wi_0.kernel`, written by TensorStore.
A leaf of the tree is an array, or says which zarr array it is. The names and
shapes are those of our networks.
"""

import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_efficient.models import networks, parameter_trees
from data_efficient.models.parameter_trees import CheckpointError

_TREE = "checkpoint"
# Where T5X's networks with scanned layers keep all layers of a stack.
_SCANNED = re.compile(r"(encoder|decoder)/(\1|layers)/")


def is_checkpoint(directory: pathlib.Path) -> bool:
  """Whether a directory holds a checkpoint in this format."""
  return (directory / _TREE).is_file()


def load_parameters(
  directory: str | pathlib.Path,
  *,
  config: networks.Network,
  shardings: networks.Parameters,
  dtypes: networks.Parameters,
) -> networks.Parameters:
  """Reads the parameters, one at a time, onto their devices.

  Args:
    directory: where the file `checkpoint` is.
    config: the network that they must fit.
    shardings: a tree like the parameters'.
    dtypes: a tree like the parameters', of what each is stored as.

  Raises:
    CheckpointError: a file missing or cut short, scanned layers, or
      parameters missing, surplus, of another shape or vocabulary.
  """
  directory = pathlib.Path(directory)
  stored = dict(_leaves(directory, _target(directory / _TREE)))
  if any(_SCANNED.match(name) for name in stored):
    raise CheckpointError(
      f"{directory}: its layers are scanned: one array holds a parameter of"
      " all layers. Only checkpoints with a subtree for each layer (layers_0,"
      " layers_1, …) can be read, as T5 1.1 and Flan-T5 are published; save"
      " it again from a network whose scan_layers is False"
    )
  shapes = parameter_trees.flatten(networks.parameter_shapes(config))
  parameter_trees.check(
    {name: tuple(leaf.shape) for name, leaf in stored.items()},
    {name: shape.shape for name, shape in shapes.items()},
    where=str(directory),
  )
  places = parameter_trees.flatten(shardings)
  kept_as = parameter_trees.flatten(dtypes)
  loaded = {
    name: jax.device_put(
      np.ascontiguousarray(
        _read(directory, name, stored[name]), jnp.dtype(kept_as[name])
      ),
      places[name],
    )
    for name in shapes
  }
  return parameter_trees.unflatten(loaded)


def _target(path: pathlib.Path) -> dict[str, Any]:
  """The tree of parameters in the msgpack."""
  from flax import serialization

  try:
    tree = serialization.msgpack_restore(path.read_bytes())
    return tree.get("optimizer", tree)["target"]
  except Exception as error:  # msgpack raises whatever its parser raises.
    raise CheckpointError(
      f"{path}: not the msgpack of a T5X checkpoint, or cut short; copy it"
      f" again ({type(error).__name__}: {error}). TensorFlow's checkpoints"
      " have a file of that name too and cannot be read"
    ) from error


def _leaves(
  directory: pathlib.Path, tree: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
  """Name and array of every parameter; none is read yet."""
  for key, node in tree.items():
    name = f"{prefix}{key}"
    if isinstance(node, dict) and "driver" in node:
      yield name, _opened(directory, name, node)
    elif isinstance(node, dict):
      yield from _leaves(directory, node, f"{name}/")
    else:
      yield name, np.asarray(node)


def _opened(
  directory: pathlib.Path, name: str, described: dict[str, Any]
) -> Any:
  """The zarr array of a parameter, wherever it was first written."""
  import tensorstore

  # Older ones have the path beside the kvstore; the bucket is long gone.
  path = described.get("kvstore", {}).get("path") or described.get("path", "")
  folder = directory / pathlib.PurePosixPath(path).name
  try:
    array = tensorstore.open(
      {"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder)}},
      open=True,
      read=True,
    ).result()
  except ValueError as error:
    raise CheckpointError(
      f"{folder}: the zarr array of {name} is missing or damaged; copy the"
      f" checkpoint again ({str(error)[:200]})"
    ) from error
  if not jnp.issubdtype(array.dtype.numpy_dtype, jnp.floating):
    raise CheckpointError(
      f"{folder}: {name} is stored as {array.dtype.name}; expected float32,"
      " bfloat16 or float16"
    )
  return array


def _read(directory: pathlib.Path, name: str, array: Any) -> np.ndarray:
  if isinstance(array, np.ndarray):
    return array
  _check_chunks(directory, name, array)
  try:
    return array.read().result()
  except ValueError as error:
    raise CheckpointError(
      f"{directory}: a file of {name} is cut short; copy the checkpoint again"
      f" ({str(error)[:200]})"
    ) from error


def _check_chunks(directory: pathlib.Path, name: str, array: Any) -> None:
  """A chunk whose file is missing would be read as zeros."""
  chunks = array.chunk_layout.read_chunk.shape
  expected = math.prod(
    -(-size // chunk) for size, chunk in zip(array.shape, chunks, strict=True)
  )
  keys = array.kvstore.list().result()
  found = sum(not key.startswith(b".") for key in keys)
  if found < expected:
    raise CheckpointError(
      f"{directory}: {name} has {found} of its {expected} chunk files; copy"
      " the checkpoint again"
    )
