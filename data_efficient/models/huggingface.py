# SPDX-License-Identifier: Apache-2.0
"""Hugging Face files of T5 1.1 and Flan-T5, without torch.

`config.json` says what the network is; `model.safetensors`, or the shards
that `model.safetensors.index.json` lists, hold the tensors. A linear layer is
stored as [outputs, inputs] there and as [inputs, outputs] here.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_efficient.models import encoder_decoder, parameter_trees
from data_efficient.models.parameter_trees import CheckpointError

_CONFIG = "config.json"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"

# Copies of shared.weight, and a table that T5 never reads (kept in files
# converted from the first T5).
_IGNORED = (
  "encoder.embed_tokens.weight",
  "decoder.embed_tokens.weight",
  "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
)


# What T5 1.1 has; and what a file may leave out.
_T5_1_1 = {
  "model_type": "t5",
  "feed_forward_proj": "gated-gelu",
  "layer_norm_epsilon": 1e-6,
}
_DEFAULTS = {
  "layer_norm_epsilon": 1e-6,
  "initializer_factor": 1.0,
  "relative_attention_max_distance": 128,
}

_FLOATS = ("F32", "BF16", "F16", "F64")


class _Tensor(NamedTuple):
  """A tensor's name in the files and whether it is stored transposed."""

  name: str
  transposed: bool


def is_checkpoint(directory: pathlib.Path) -> bool:
  """Whether a directory holds Hugging Face files."""
  return any(
    (directory / name).is_file() for name in (_CONFIG, _SINGLE, _INDEX)
  )


def read_config(
  directory: str | pathlib.Path, *, dtype: Any
) -> encoder_decoder.T5Config:
  """The network that `config.json` describes.

  Args:
    directory: where `config.json` is.
    dtype: "float32" or "bfloat16": what matmul operands are rounded to here.

  Raises:
    CheckpointError: not there, not JSON, or not a T5 1.1. Whether it is the
      network of the tensors shows when they are read.
  """
  path = pathlib.Path(directory) / _CONFIG
  values = {**_DEFAULTS, **_read_json(path)}
  # transformers 5 writes tie_word_embeddings true for every T5, and of which
  # kind it is beside it.
  kind = "scale_decoder_outputs"
  kind = kind if kind in values else "tie_word_embeddings"
  for name, wanted in (*_T5_1_1.items(), (kind, False)):
    if values.get(name) != wanted:
      raise CheckpointError(
        f"{path}: {name} is {values.get(name)!r}, expected {wanted!r}: only T5"
        " 1.1 and what was tuned from it (Flan-T5) can be read; the first T5"
        " has another feed-forward layer and a tied head"
      )
  try:
    return encoder_decoder.T5Config(
      vocab_size=values["vocab_size"],
      emb_dim=values["d_model"],
      num_heads=values["num_heads"],
      head_dim=values["d_kv"],
      mlp_dim=values["d_ff"],
      num_encoder_layers=values["num_layers"],
      num_decoder_layers=values.get("num_decoder_layers")
      or values["num_layers"],
      dtype=dtype,
      dropout_rate=values["dropout_rate"],
      embedding_init_stddev=values["initializer_factor"],
      relative_attention_num_buckets=values["relative_attention_num_buckets"],
      relative_attention_max_distance=values["relative_attention_max_distance"],
    )
  except KeyError as error:
    raise CheckpointError(f"{path}: {error} is missing") from error


def load_parameters(
  directory: str | pathlib.Path,
  *,
  config: encoder_decoder.T5Config,
  shardings: encoder_decoder.Parameters,
  dtypes: encoder_decoder.Parameters,
) -> encoder_decoder.Parameters:
  """Reads the tensors, one at a time, onto their devices.

  Raises:
    CheckpointError: a file missing or cut short, a tensor missing, surplus
      or of another shape, or another vocabulary.
  """
  directory = pathlib.Path(directory)
  names = _names(config)
  files = _files(directory)
  _check(directory, files, names, config)
  places = parameter_trees.flatten(shardings)
  stored = parameter_trees.flatten(dtypes)
  by_tensor = {tensor.name: path for path, tensor in names.items()}
  loaded = {}
  for tensor, values in _read(files, wanted=set(by_tensor)):
    path = by_tensor[tensor]
    values = values.T if names[path].transposed else values
    values = np.ascontiguousarray(values, jnp.dtype(stored[path]))
    loaded[path] = jax.device_put(values, places[path])
  return parameter_trees.unflatten({name: loaded[name] for name in names})


def _names(config: encoder_decoder.T5Config) -> dict[str, _Tensor]:
  """Parameter path to tensor, for every parameter."""
  names = {
    "token_embedder/embedding": _Tensor("shared.weight", False),
    "decoder/logits_dense/kernel": _Tensor("lm_head.weight", True),
  }
  stacks = {
    "encoder": (config.num_encoder_layers, ("self", "mlp")),
    "decoder": (config.num_decoder_layers, ("self", "cross", "mlp")),
  }
  for stack, (depth, blocks) in stacks.items():
    names[f"{stack}/relpos_bias/rel_embedding"] = _Tensor(
      f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
      True,
    )
    names[f"{stack}/{stack}_norm/scale"] = _Tensor(
      f"{stack}.final_layer_norm.weight", False
    )
    for layer in range(depth):
      for i, block in enumerate(blocks):
        names |= _block(stack, f"layers_{layer}", block, layer, i)
  return names


def _block(
  stack: str, ours: str, block: str, layer: int, position: int
) -> dict[str, _Tensor]:
  theirs = f"{stack}.block.{layer}.layer.{position}"
  attention = "attention" if stack == "encoder" else "self_attention"
  module, norm, tensors = {
    "self": (attention, attention, "SelfAttention"),
    "cross": (
      "encoder_decoder_attention",
      "cross_attention",
      "EncDecAttention",
    ),
    "mlp": ("mlp", "mlp", "DenseReluDense"),
  }[block]
  kernels = {"query": "q", "key": "k", "value": "v", "out": "o"}
  if block == "mlp":
    kernels = {name: name for name in ("wi_0", "wi_1", "wo")}
  names = {
    f"{stack}/{ours}/{module}/{kernel}/kernel": _Tensor(
      f"{theirs}.{tensors}.{name}.weight", True
    )
    for kernel, name in kernels.items()
  }
  names[f"{stack}/{ours}/pre_{norm}_layer_norm/scale"] = _Tensor(
    f"{theirs}.layer_norm.weight", False
  )
  return names


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    values = json.loads(path.read_text(encoding="utf-8"))
  except OSError as error:
    raise CheckpointError(f"{path}: cannot be read ({error})") from error
  except ValueError as error:
    raise CheckpointError(f"{path}: is not JSON, or cut short") from error
  if not isinstance(values, dict):
    raise CheckpointError(f"{path}: expected a JSON object")
  return values


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
  if not (directory / _INDEX).is_file():
    return [directory / _SINGLE]
  weight_map = _read_json(directory / _INDEX).get("weight_map")
  if not isinstance(weight_map, dict):
    raise CheckpointError(
      f"{directory / _INDEX}: has no weight_map from tensors to files"
    )
  return [directory / name for name in sorted(set(weight_map.values()))]


def _opened(path: pathlib.Path) -> Any:
  import safetensors

  if not path.is_file():
    raise CheckpointError(
      f"{path}: is missing; expected {_SINGLE}, or {_INDEX} with every file"
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
  files: list[pathlib.Path],
  names: dict[str, _Tensor],
  config: encoder_decoder.T5Config,
) -> None:
  found = {}
  for path in files:
    with _opened(path) as file:
      for name in file.keys():
        stored = file.get_slice(name)
        found[name] = tuple(stored.get_shape())
        if stored.get_dtype() not in _FLOATS:
          raise CheckpointError(
            f"{path}: {name} is stored as {stored.get_dtype()}, expected one"
            f" of {_FLOATS}: quantised checkpoints cannot be read"
          )
  expected = parameter_trees.flatten(encoder_decoder.parameter_shapes(config))
  translated = {tensor.name: path for path, tensor in names.items()}
  shapes = {}
  for name, shape in found.items():
    if name in translated:
      path = translated[name]
      shapes[path] = shape[::-1] if names[path].transposed else shape
    elif name not in _IGNORED:
      shapes[name] = shape
  parameter_trees.check(
    shapes,
    {path: leaf.shape for path, leaf in expected.items()},
    where=str(directory),
  )


def _read(
  files: list[pathlib.Path], *, wanted: set[str]
) -> Iterator[tuple[str, np.ndarray]]:
  for path in files:
    with _opened(path) as file:
      for name in file.keys():
        if name in wanted:
          yield name, file.get_tensor(name)
