# SPDX-License-Identifier: Apache-2.0
"""Adapters in the files of the library PEFT, without torch.

`adapter_config.json` says which projections are adapted and how,
`adapter_model.safetensors` holds A and B, transposed, by the names that
transformers gives to the projections. Only what changes nothing else of the
network is read: plain LoRA of linear layers.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_efficient.models import (
  adapters,
  decoder,
  decoder_files,
  encoder_decoder,
  huggingface,
  networks,
  parameter_trees,
  tensor_files,
)
from data_efficient.models.parameter_trees import CheckpointError

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_PARTS = {"a": "lora_A", "b": "lora_B"}
_KERNEL = "/kernel"
# Fields that change what an adapter computes, and the values that do not.
_PLAIN: dict[str, tuple[Any, ...]] = {
  "peft_type": ("LORA",),
  "bias": ("none",),
  "use_rslora": (None, False),
  "use_dora": (None, False),
  "use_qalora": (None, False),
  "lora_bias": (None, False),
  "fan_in_fan_out": (None, False),
  "rank_pattern": (None, {}),
  "alpha_pattern": (None, {}),
  "modules_to_save": (None, []),
  "trainable_token_indices": (None, []),
  "layer_replication": (None, []),
}


def is_adapter(directory: pathlib.Path) -> bool:
  """Whether a directory holds an adapter of PEFT's."""
  return (directory / CONFIG).is_file()


def save(
  directory: str | pathlib.Path,
  adapter: adapters.Adapter,
  *,
  network: networks.Network,
  lora: adapters.Lora,
  base_model: str,
) -> None:
  """Writes both files into a directory that is there.

  Args:
    directory: where they go.
    adapter: of the network.
    network: one that Hugging Face's files have names for.
    lora: of the adapter.
    base_model: what PEFT shall load the network from.

  Raises:
    CheckpointError: another network.
  """
  import safetensors.numpy

  directory, names = pathlib.Path(directory), _modules(network)
  flat = parameter_trees.flatten(adapter)
  tensors = {
    _tensor(names, path): np.ascontiguousarray(np.asarray(leaf).T)
    for path, leaf in flat.items()
  }
  is_t5 = isinstance(network, encoder_decoder.T5Config)
  values = {
    "peft_type": "LORA",
    "task_type": "SEQ_2_SEQ_LM" if is_t5 else "CAUSAL_LM",
    "base_model_name_or_path": base_model,
    "r": lora.rank,
    "lora_alpha": lora.alpha,
    "lora_dropout": lora.dropout_rate,
    "target_modules": sorted({names[p.rpartition("/")[0]] for p in flat}),
    "bias": "none",
    "inference_mode": True,
  }
  text = json.dumps(values, indent=2) + "\n"
  (directory / CONFIG).write_text(text, encoding="utf-8")
  safetensors.numpy.save_file(
    tensors, directory / TENSORS, metadata={"format": "pt"}
  )


def read_config(directory: str | pathlib.Path) -> dict[str, Any]:
  """What `adapter_config.json` says.

  Raises:
    CheckpointError: not there, not JSON, or an adapter of another kind.
  """
  path = pathlib.Path(directory) / CONFIG
  values = tensor_files.read_object(path)
  for name, plain in _PLAIN.items():
    if values.get(name) not in plain:
      raise CheckpointError(
        f"{path}: {name} is {values.get(name)!r}, expected {plain[-1]!r}: only"
        " plain LoRA of linear layers can be read"
      )
  return values


def base(directory: str | pathlib.Path) -> str:
  """The directory of the network that an adapter is of.

  Raises:
    CheckpointError: it is not on this machine.
  """
  values = read_config(directory)
  found = values.get("base_model_name_or_path")
  if not found or not pathlib.Path(found).is_dir():
    raise CheckpointError(
      f"{pathlib.Path(directory) / CONFIG}: base_model_name_or_path is"
      f" {found!r}, which is no directory here: download the base, and write"
      " where it is"
    )
  return found


def load(
  directory: str | pathlib.Path, *, network: networks.Network
) -> tuple[adapters.Lora, adapters.Adapter]:
  """An adapter, float32, and how it is applied.

  Raises:
    CheckpointError: a file missing, an adapter of another kind, or tensors
      that are not those of the network's projections.
  """
  import safetensors.numpy

  directory, values = pathlib.Path(directory), read_config(directory)
  try:
    found = safetensors.numpy.load_file(directory / TENSORS)
  except (OSError, safetensors.SafetensorError) as error:
    raise CheckpointError(
      f"{directory / TENSORS}: is missing or cut short ({error})"
    ) from error
  paths = {
    _tensor(_modules(network), f"{module}/{part}"): f"{module}/{part}"
    for module in _modules(network)
    for part in _PARTS
  }
  surplus = sorted(set(found) - set(paths))
  if surplus:
    raise CheckpointError(
      f"{directory / TENSORS}: {surplus[0]} is no projection of this"
      f" {type(network).__name__}"
    )
  flat = {paths[n]: np.float32(values.T) for n, values in found.items()}
  modules = sorted({path.rpartition("/")[0] for path in flat})
  lora = adapters.Lora(
    rank=values["r"],
    alpha=float(values["lora_alpha"]),
    dropout_rate=float(values.get("lora_dropout") or 0.0),
    targets=modules,
  )
  _check(directory, flat, adapters.shapes(network, lora))
  return lora, parameter_trees.unflatten(flat)


def _check(
  directory: pathlib.Path, flat: Mapping[str, np.ndarray], shapes: Any
) -> None:
  expected = parameter_trees.flatten(shapes)
  parameter_trees.check(
    {path: leaf.shape for path, leaf in flat.items()},
    {path: leaf.shape for path, leaf in expected.items()},
    where=str(directory),
  )


def _modules(network: networks.Network) -> dict[str, str]:
  """Path of each projection -> its name in transformers."""
  if isinstance(network, encoder_decoder.T5Config):
    tensors = huggingface.tensors(network)
  elif isinstance(network, decoder.DecoderConfig):
    tensors = decoder_files.tensors(network)
  else:
    raise CheckpointError(
      f"PEFT has no names for the projections of a {type(network).__name__}"
    )
  return {
    path.removesuffix(_KERNEL): tensor.name.removesuffix(".weight")
    for path, tensor in tensors.items()
    if path.endswith(_KERNEL)
  }


def _tensor(names: Mapping[str, str], path: str) -> str:
  module, _, part = path.rpartition("/")
  return f"{_PREFIX}{names[module]}.{_PARTS[part]}.weight"
