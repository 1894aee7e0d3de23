# SPDX-License-Identifier: Apache-2.0
"""Hugging Face files of T5 1.1 and Flan-T5, without torch.

`config.json` says what the network is; `model.safetensors`, or the shards
that `model.safetensors.index.json` lists, hold the tensors. A linear layer is
stored as [outputs, inputs] there and as [inputs, outputs] here.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient.models import config_files, encoder_decoder, tensor_files
from data_efficient.models.parameter_trees import CheckpointError
from data_efficient.models.tensor_files import Tensor

_CONFIG = "config.json"

# Copies of shared.weight, and a table that T5 never reads (kept in files
# converted from the first T5).
_IGNORED = (
  "encoder.embed_tokens.weight",
  "decoder.embed_tokens.weight",
  "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
)

# Kernels of T5 1.1's feed-forward block.
_GATED = ("wi_0", "wi_1", "wo")

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


def is_checkpoint(directory: pathlib.Path) -> bool:
  """Whether a directory holds Hugging Face files."""
  return any(
    (directory / name).is_file()
    for name in (_CONFIG, tensor_files.SINGLE, tensor_files.INDEX)
  )


def read_config(
  directory: str | pathlib.Path, *, dtype: Any, remat: str = "none"
) -> encoder_decoder.T5Config:
  """The network that `config.json` describes.

  Args:
    directory: where `config.json` is.
    dtype: "float32" or "bfloat16": what matmul operands are rounded to here.
    remat: what training computes again; see `stacks.Sizes`.

  Raises:
    CheckpointError: not there, not JSON, or not a T5 1.1. Whether it is the
      network of the tensors shows when they are read.
  """
  path = pathlib.Path(directory) / _CONFIG
  values = {**_DEFAULTS, **tensor_files.read_object(path)}
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
      remat=remat,
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
  return tensor_files.load_parameters(
    pathlib.Path(directory),
    network=config,
    tensors=tensors(config),
    ignored=_IGNORED,
    shardings=shardings,
    dtypes=dtypes,
  )


def save(
  directory: str | pathlib.Path,
  parameters: encoder_decoder.Parameters,
  *,
  config: encoder_decoder.T5Config,
  dtype: str = "float32",
  values: Mapping[str, Any] | None = None,
) -> None:
  """Writes config.json and the tensors; see `decoder_files.save`."""
  directory = pathlib.Path(directory)
  values = values or config_files.of_t5(config)
  config_files.write(directory, values, dtype=dtype)
  found = read_config(directory, dtype=config.dtype)
  config_files.check_same(directory, found, config)
  tensor_files.save_parameters(
    directory, parameters, tensors=tensors(config), dtype=dtype
  )


def tensors(config: encoder_decoder.T5Config) -> dict[str, Tensor]:
  """Parameter path to tensor, for every parameter."""
  return {
    "token_embedder/embedding": Tensor("shared.weight", False),
    "decoder/logits_dense/kernel": Tensor("lm_head.weight", True),
    **stack_names("encoder", config.num_encoder_layers, _GATED),
    **stack_names("decoder", config.num_decoder_layers, _GATED),
  }


def stack_names(
  stack: str, depth: int, feed_forward: Sequence[str]
) -> dict[str, Tensor]:
  """The tensors of a stack of T5's layers, by their paths.

  Args:
    stack: "encoder" or "decoder".
    depth: its layers.
    feed_forward: the kernels of the feed-forward block.
  """
  blocks = ("self", "mlp") if stack == "encoder" else ("self", "cross", "mlp")
  names = {
    f"{stack}/relpos_bias/rel_embedding": Tensor(
      f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
      True,
    ),
    f"{stack}/{stack}_norm/scale": Tensor(
      f"{stack}.final_layer_norm.weight", False
    ),
  }
  for layer in range(depth):
    for i, block in enumerate(blocks):
      names |= _block(stack, layer, block, i, feed_forward)
  return names


def _block(
  stack: str, layer: int, block: str, position: int, feed_forward: Sequence[str]
) -> dict[str, Tensor]:
  ours = f"{stack}/layers_{layer}"
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
    kernels = {name: name for name in feed_forward}
  names = {
    f"{ours}/{module}/{kernel}/kernel": Tensor(
      f"{theirs}.{tensors}.{name}.weight", True
    )
    for kernel, name in kernels.items()
  }
  names[f"{ours}/pre_{norm}_layer_norm/scale"] = Tensor(
    f"{theirs}.layer_norm.weight", False
  )
  return names
