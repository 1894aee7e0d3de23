# SPDX-License-Identifier: Apache-2.0
"""Safetensors files to parameters and back, without torch.

Hugging Face's files: `model.safetensors`, or the shards that
`model.safetensors.index.json` lists. A linear layer is stored as
[outputs, inputs] there and as [inputs, outputs] here.
"""

import json
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_efficient.models import networks, parameter_trees
from data_efficient.models.parameter_trees import CheckpointError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

# Bytes of tensors in a file, as Hugging Face splits them.
_FILE_BYTES = 5 * 10**9

_FLOATS = ("F32", "BF16", "F16", "F64")


class Tensor(NamedTuple):
  """Where a parameter is.

  Attributes:
    name: of the tensor in its file.
    transposed: whether it is stored transposed.
    folder: of its files, below the checkpoint.
  """

  name: str
  transposed: bool
  folder: str = ""


class _File(NamedTuple):
  folder: str
  path: pathlib.Path


def load_parameters(
  directory: pathlib.Path,
  *,
  network: networks.Network,
  tensors: Mapping[str, Tensor],
  ignored: Collection[str],
  shardings: networks.Parameters,
  dtypes: networks.Parameters,
) -> networks.Parameters:
  """Reads the tensors, one at a time, onto their devices.

  Args:
    directory: the checkpoint.
    network: whose parameters they are.
    tensors: for every path in the parameter tree its tensor.
    ignored: tensors that the files may hold and nobody reads.
    shardings: a tree like the parameters'.
    dtypes: likewise, of what each is stored as here.

  Raises:
    CheckpointError: a file missing or cut short, a tensor missing, surplus,
      quantised or of another shape, or another vocabulary.
  """
  folders = sorted({tensor.folder for tensor in tensors.values()})
  files = [
    _File(folder, path)
    for folder in folders
    for path in _files(directory / folder)
  ]
  paths = {(t.folder, t.name): path for path, t in tensors.items()}
  _check(directory, files, paths, tensors, ignored, network)
  places = parameter_trees.flatten(shardings)
  stored = parameter_trees.flatten(dtypes)
  loaded = {}
  for path, values in _read(files, paths):
    values = values.T if tensors[path].transposed else values
    values = np.ascontiguousarray(values, jnp.dtype(stored[path]))
    loaded[path] = jax.device_put(values, places[path])
  return parameter_trees.unflatten({name: loaded[name] for name in tensors})


def save_parameters(
  directory: pathlib.Path,
  parameters: networks.Parameters,
  *,
  tensors: Mapping[str, Tensor],
  dtype: str,
  file_bytes: int = _FILE_BYTES,
) -> None:
  """Writes what `load_parameters` reads: a file, or several and their index.

  Args:
    directory: where they go; it is there.
    parameters: of a network.
    tensors: for every path in the parameter tree its tensor.
    dtype: "float32" or "bfloat16", of the tensors.
    file_bytes: of tensors in a file; as many are in memory at a time.
  """
  import safetensors.numpy

  flat = parameter_trees.flatten(parameters)
  groups = list(_groups(tensors, flat, file_bytes // jnp.dtype(dtype).itemsize))
  weight_map = {}
  for number, paths in enumerate(groups, start=1):
    name = SINGLE
    if len(groups) > 1:
      name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
    found = {
      tensors[path].name: _stored(flat[path], tensors[path], dtype)
      for path in paths
    }
    # transformers asks for the mark.
    safetensors.numpy.save_file(
      found, directory / name, metadata={"format": "pt"}
    )
    weight_map |= dict.fromkeys(found, name)
  if len(groups) > 1:
    total = sum(leaf.size for leaf in flat.values())
    index = {
      "metadata": {"total_size": total * jnp.dtype(dtype).itemsize},
      "weight_map": weight_map,
    }
    (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _groups(
  tensors: Mapping[str, Tensor], flat: Mapping[str, Any], most: int
) -> Iterator[list[str]]:
  """Paths in groups of so many values, or of one array that has more."""
  group: list[str] = []
  for path in tensors:
    if group and sum(flat[p].size for p in group) + flat[path].size > most:
      yield group
      group = []
    group.append(path)
  yield group


def _stored(leaf: Any, tensor: Tensor, dtype: str) -> np.ndarray:
  values = np.asarray(jax.device_get(leaf))
  values = values.T if tensor.transposed else values
  return np.ascontiguousarray(values, jnp.dtype(dtype))


def read_json(path: pathlib.Path) -> Any:
  """What a JSON file says.

  Raises:
    CheckpointError: not there, or not JSON.
  """
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except OSError as error:
    raise CheckpointError(f"{path}: cannot be read ({error})") from error
  except ValueError as error:
    raise CheckpointError(f"{path}: is not JSON, or cut short") from error


def read_object(path: pathlib.Path) -> dict[str, Any]:
  """The object in a JSON file.

  Raises:
    CheckpointError: not there, not JSON, or no object.
  """
  values = read_json(path)
  if not isinstance(values, dict):
    raise CheckpointError(f"{path}: expected a JSON object")
  return values


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
  if not (directory / INDEX).is_file():
    return [directory / SINGLE]
  weight_map = read_object(directory / INDEX).get("weight_map")
  if not isinstance(weight_map, dict):
    raise CheckpointError(
      f"{directory / INDEX}: has no weight_map from tensors to files"
    )
  return [directory / name for name in sorted(set(weight_map.values()))]


def _opened(path: pathlib.Path) -> Any:
  import safetensors

  if not path.is_file():
    raise CheckpointError(
      f"{path}: is missing; expected {SINGLE}, or {INDEX} with every file"
      " that it lists (PyTorch's own files, .bin, are not read)"
    )
  try:
    return safetensors.safe_open(path, framework="numpy")
  except safetensors.SafetensorError as error:
    raise CheckpointError(
      f"{path}: not a safetensors file, or cut short; copy it again ({error})"
    ) from error


def _check(
  directory: pathlib.Path,
  files: list[_File],
  paths: Mapping[tuple[str, str], str],
  tensors: Mapping[str, Tensor],
  ignored: Collection[str],
  network: networks.Network,
) -> None:
  shapes = {}
  for folder, file_path in files:
    with _opened(file_path) as file:
      for name in file.keys():
        if name in ignored:
          continue
        stored = file.get_slice(name)
        if stored.get_dtype() not in _FLOATS:
          raise CheckpointError(
            f"{file_path}: {name} is stored as {stored.get_dtype()}, expected"
            f" one of {_FLOATS}: quantised checkpoints cannot be read"
          )
        shape = tuple(stored.get_shape())
        path = paths.get((folder, name))
        if path is not None and tensors[path].transposed:
          shape = shape[::-1]
        shapes[path or name] = shape
  expected = parameter_trees.flatten(networks.parameter_shapes(network))
  parameter_trees.check(
    shapes,
    {path: leaf.shape for path, leaf in expected.items()},
    where=str(directory),
  )


def _read(
  files: list[_File], paths: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, np.ndarray]]:
  for folder, file_path in files:
    with _opened(file_path) as file:
      for name in file.keys():
        if (folder, name) in paths:
          yield paths[folder, name], file.get_tensor(name)
