# SPDX-License-Identifier: Apache-2.0
"""What the config.json of a network of ours says, for other programs.

The inverse of `decoder_configs.read_config` and `huggingface.read_config`: what
is written reads back as the same network, or is refused. Of a decoder-only
network that is the first published family which computes just this.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from data_efficient.models import (
  decoder,
  decoder_configs,
  encoder_decoder,
  rotary,
)
from data_efficient.models.parameter_trees import CheckpointError

_FULL, _SLIDING = "full_attention", "sliding_attention"
# Tokens that a published file says a network was trained on; nothing but the
# scalings of angles reads it.
_POSITIONS = 2048
# By the class of each in transformers.
_CLASSES = {
  "llama": "LlamaForCausalLM",
  "mistral": "MistralForCausalLM",
  "qwen2": "Qwen2ForCausalLM",
  "qwen3": "Qwen3ForCausalLM",
  "gemma": "GemmaForCausalLM",
  "gemma2": "Gemma2ForCausalLM",
  "gemma3_text": "Gemma3ForCausalLM",
}
_GEMMAS = ("gemma", "gemma2", "gemma3_text")
_ACTIVATIONS = {
  "silu": "silu",
  "gelu": "gelu",
  "gelu_tanh": "gelu_pytorch_tanh",
}
# What is no part of a forward pass.
_OF_TRAINING = ("dtype", "remat", "dropout_rate", "embedding_init_stddev")


def write(
  directory: pathlib.Path, values: Mapping[str, Any], *, dtype: str
) -> None:
  """Writes config.json, of tensors of a type."""
  # Newer files say "dtype", and may say both.
  kept = {k: v for k, v in values.items() if k != "dtype"}
  text = json.dumps(kept | {"torch_dtype": dtype}, indent=2) + "\n"
  (directory / "config.json").write_text(text, encoding="utf-8")


def check_same(directory: pathlib.Path, found: Any, wanted: Any) -> None:
  """Compares the network that was written with the one that was to be.

  Raises:
    CheckpointError: another one; names what differs.
  """
  if not same_network(found, wanted):
    raise CheckpointError(
      f"{directory}: config.json would say another network than the"
      f" parameters': it differs in {', '.join(_differing(found, wanted))}"
    )


def same_network(first: Any, second: Any) -> bool:
  """Whether two configs compute the same from the same parameters."""
  return type(first) is type(second) and not _differing(first, second)


def of_t5(config: encoder_decoder.T5Config) -> dict[str, Any]:
  """The fields of a T5 1.1's config.json."""
  return {
    "model_type": "t5",
    "architectures": ["T5ForConditionalGeneration"],
    "is_encoder_decoder": True,
    "vocab_size": config.vocab_size,
    "d_model": config.emb_dim,
    "d_kv": config.head_dim,
    "d_ff": config.mlp_dim,
    "num_heads": config.num_heads,
    "num_layers": config.num_encoder_layers,
    "num_decoder_layers": config.num_decoder_layers,
    "feed_forward_proj": "gated-gelu",
    "is_gated_act": True,
    "dense_act_fn": "gelu_new",
    "tie_word_embeddings": False,
    "layer_norm_epsilon": 1e-6,
    "dropout_rate": config.dropout_rate,
    "initializer_factor": config.embedding_init_stddev,
    "relative_attention_num_buckets": config.relative_attention_num_buckets,
    "relative_attention_max_distance": config.relative_attention_max_distance,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
  }


def of_decoder(config: decoder.DecoderConfig) -> dict[str, Any]:
  """The fields of a decoder-only network's config.json.

  Raises:
    CheckpointError: no published family computes this network; names what the
      nearest one does in another way.
  """
  misses = []
  for family in _CLASSES:
    values = _of_family(family, config)
    found = _read_back(values, config.dtype)
    if isinstance(found, str):
      misses.append((family, [found]))
      continue
    differing = _differing(found, config)
    if not differing:
      return values
    misses.append((family, differing))
  family, fields = min(misses, key=lambda miss: len(miss[1]))
  raise CheckpointError(
    "no published family of decoder-only networks computes this one; the"
    f" nearest, {family}, differs in {', '.join(fields)}: it can be used here,"
    " but not exported"
  )


def _differing(found: Any, wanted: Any) -> list[str]:
  ours, theirs = (
    {f.name: getattr(each, f.name) for f in dataclasses.fields(each)}
    for each in (found, wanted)
  )
  return [
    name
    for name in ours
    if name not in _OF_TRAINING and ours[name] != theirs[name]
  ]


def _read_back(
  values: Mapping[str, Any], dtype: str
) -> decoder.DecoderConfig | str:
  """The network that the fields mean; or why they mean none."""
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory, "config.json")
    path.write_text(json.dumps(values))
    try:
      return decoder_configs.read_config(directory, dtype=dtype)
    except CheckpointError as error:
      return str(error).partition(": ")[2]


def _of_family(family: str, config: decoder.DecoderConfig) -> dict[str, Any]:
  activation = _ACTIVATIONS[config.activation]
  full = _last(config, sliding=False)
  values: dict[str, Any] = {
    "model_type": family,
    "architectures": [_CLASSES[family]],
    "vocab_size": config.vocab_size,
    "hidden_size": config.emb_dim,
    "intermediate_size": config.mlp_dim,
    "num_hidden_layers": len(config.layers),
    "num_attention_heads": config.num_heads,
    "num_key_value_heads": config.num_kv_heads,
    "head_dim": config.head_dim,
    "hidden_act": activation,
    "rms_norm_eps": config.norm_epsilon,
    "tie_word_embeddings": config.tied_head,
    "initializer_range": config.embedding_init_stddev,
    "max_position_embeddings": _positions(full.scaling),
    "rope_theta": full.theta,
    "rope_scaling": _scaling(full.scaling),
  }
  if family in ("llama", "qwen3"):
    values["attention_bias"] = config.qkv_bias
  if family == "llama":
    values["mlp_bias"] = config.mlp_bias
  if family in _GEMMAS:
    values["hidden_activation"] = activation
  if family in ("gemma2", "gemma3_text"):
    values["query_pre_attn_scalar"] = _scalar(config.query_scale)
    values["attn_logit_softcapping"] = config.logit_cap
    values["final_logit_softcapping"] = config.final_cap
  if family == "gemma3_text":
    values["rope_local_base_freq"] = _last(config, sliding=True).theta
  return values | _windows(family, config)


def _windows(family: str, config: decoder.DecoderConfig) -> dict[str, Any]:
  """Which layers see how far, where a family says so."""
  kinds = [kind.window for kind in config.layers]
  window = max((each for each in kinds if each), default=None)
  if family in ("llama", "gemma"):
    return {}
  if family == "mistral":
    return {"sliding_window": window}
  types = [_FULL if each is None else _SLIDING for each in kinds]
  values = {"sliding_window": window, "layer_types": types}
  if family in ("qwen2", "qwen3"):
    values["use_sliding_window"] = window is not None
    values["max_window_layers"] = types.count(_FULL)
  return values


def _last(config: decoder.DecoderConfig, *, sliding: bool) -> rotary.Rotary:
  """The angles of the layers of one kind; of any where there are none."""
  found = [k for k in config.layers if (k.window is not None) == sliding]
  return (found or config.layers)[-1].rotary


def _scalar(scale: float) -> int | float:
  """What a query's size is divided by the root of."""
  whole = round(scale**-2)
  return whole if whole**-0.5 == scale else scale**-2


def _positions(scaling: rotary.Scaling | None) -> int:
  if isinstance(scaling, rotary.Llama3 | rotary.Yarn):
    return round(scaling.original_length * scaling.factor)
  return _POSITIONS


def _scaling(scaling: rotary.Scaling | None) -> dict[str, Any] | None:
  if scaling is None:
    return None
  kind = {
    rotary.Linear: "linear",
    rotary.Llama3: "llama3",
    rotary.Yarn: "yarn",
  }[type(scaling)]
  values = {"rope_type": kind, **dataclasses.asdict(scaling)}
  if "original_length" in values:
    values["original_max_position_embeddings"] = values.pop("original_length")
  if "magnitude" in values:
    values["attention_factor"] = values.pop("magnitude")
  return values
