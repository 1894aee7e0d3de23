# SPDX-License-Identifier: Apache-2.0
"""The tensors of published decoder-only models, without torch."""

import pathlib
from collections.abc import Mapping
from typing import Any

from data_efficient.models import (
  config_files,
  decoder,
  decoder_configs,
  networks,
  tensor_files,
)
from data_efficient.models.tensor_files import Tensor


def load_parameters(
  directory: str | pathlib.Path,
  *,
  config: decoder.DecoderConfig,
  shardings: networks.Parameters,
  dtypes: networks.Parameters,
) -> networks.Parameters:
  """Reads the tensors, one at a time, onto their devices.

  Raises:
    CheckpointError: a file missing or cut short, a tensor missing, surplus
      or of another shape, or another vocabulary.
  """
  # A copy of the embedding table, where the head is tied.
  ignored = ("lm_head.weight",) if config.tied_head else ()
  return tensor_files.load_parameters(
    pathlib.Path(directory),
    network=config,
    tensors=tensors(config),
    ignored=ignored,
    shardings=shardings,
    dtypes=dtypes,
  )


def save(
  directory: str | pathlib.Path,
  parameters: networks.Parameters,
  *,
  config: decoder.DecoderConfig,
  dtype: str = "float32",
  values: Mapping[str, Any] | None = None,
) -> None:
  """Writes config.json and the tensors, as published checkpoints have them.

  `load_parameters` gives the same parameters again, to the bit where `dtype` is
  float32.

  Args:
    directory: where they go; it is there.
    parameters: of the network.
    config: the network.
    dtype: "float32" or "bfloat16", of the tensors.
    values: what config.json says; `config_files.of_decoder` by default.

  Raises:
    CheckpointError: no published family computes this network, or the values
      mean another one.
  """
  directory = pathlib.Path(directory)
  values = values or config_files.of_decoder(config)
  config_files.write(directory, values, dtype=dtype)
  found = decoder_configs.read_config(directory, dtype=config.dtype)
  config_files.check_same(directory, found, config)
  tensor_files.save_parameters(
    directory, parameters, tensors=tensors(config), dtype=dtype
  )


def tensors(config: decoder.DecoderConfig) -> dict[str, Tensor]:
  """Parameter path to tensor, for every parameter."""
  names = {
    "token_embedder/embedding": Tensor("model.embed_tokens.weight", False),
    "decoder_norm/scale": Tensor("model.norm.weight", False),
  }
  if not config.tied_head:
    names["logits_dense/kernel"] = Tensor("lm_head.weight", True)
  for layer in range(len(config.layers)):
    ours, theirs = f"layers_{layer}", f"model.layers.{layer}"
    names |= {
      f"{ours}/{path}": Tensor(f"{theirs}.{name}", path.endswith("kernel"))
      for path, name in _layer(config).items()
    }
  return names


def _layer(config: decoder.DecoderConfig) -> dict[str, str]:
  found = {"pre_attention_norm/scale": "input_layernorm.weight"}
  before_mlp = "post_attention_layernorm.weight"
  if config.post_norms:
    found["post_attention_norm/scale"] = before_mlp
    found["post_mlp_norm/scale"] = "post_feedforward_layernorm.weight"
    before_mlp = "pre_feedforward_layernorm.weight"
  found["pre_mlp_norm/scale"] = before_mlp
  if config.head_norms:
    found["attention/query_norm/scale"] = "self_attn.q_norm.weight"
    found["attention/key_norm/scale"] = "self_attn.k_norm.weight"
  of_qkv, of_out, of_mlp = config.qkv_bias, config.out_bias, config.mlp_bias
  for path, name, biased in (
    ("attention/query", "self_attn.q_proj", of_qkv),
    ("attention/key", "self_attn.k_proj", of_qkv),
    ("attention/value", "self_attn.v_proj", of_qkv),
    ("attention/out", "self_attn.o_proj", of_out),
    ("mlp/gate", "mlp.gate_proj", of_mlp),
    ("mlp/up", "mlp.up_proj", of_mlp),
    ("mlp/down", "mlp.down_proj", of_mlp),
  ):
    found[f"{path}/kernel"] = f"{name}.weight"
    if biased:
      found[f"{path}/bias"] = f"{name}.bias"
  return found
