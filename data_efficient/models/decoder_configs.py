# SPDX-License-Identifier: Apache-2.0
"""What the config.json of a published decoder-only model says.

Every field is either used, or known not to change a forward pass, or refused
by its name: a habit that is not read here would be left out in silence.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from data_efficient.models import decoder, rotary, tensor_files
from data_efficient.models.decoder_layers import LayerKind
from data_efficient.models.parameter_trees import CheckpointError

_CONFIG = "config.json"
_FULL, _SLIDING = "full_attention", "sliding_attention"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Family:
  """What a model_type has whatever its config.json says.

  Attributes:
    qkv_bias: whether queries, keys and values have biases; None where the
      field attention_bias says it, of the result, too.
    head_norms: whether queries and keys are normalised.
    gemma: whether embeddings are scaled and norms have the offset 1.
    post_norms: whether there are norms behind the blocks, too.
    tied: whether the head is tied where the file does not say.
    activation: where the file does not say.
    windows: whether layers see a window where the file does not say which:
      "none", "all", or so many of a pattern ("2": every second is full).
    theta: base of the angles where the file does not say.
  """

  qkv_bias: bool | None = None
  head_norms: bool = False
  gemma: bool = False
  post_norms: bool = False
  tied: bool = False
  activation: str = "silu"
  windows: str = "none"
  theta: float = 10_000.0


_FAMILIES = {
  "llama": _Family(),
  "mistral": _Family(qkv_bias=False, windows="all"),
  "qwen2": _Family(qkv_bias=True, windows="upper"),
  "qwen3": _Family(head_norms=True, windows="upper"),
  "gemma": _Family(gemma=True, tied=True, activation="gelu_pytorch_tanh"),
  "gemma2": _Family(
    gemma=True,
    post_norms=True,
    tied=True,
    activation="gelu_pytorch_tanh",
    windows="2",
  ),
  "gemma3_text": _Family(
    gemma=True,
    post_norms=True,
    head_norms=True,
    tied=True,
    activation="gelu_pytorch_tanh",
    windows="6",
    theta=1_000_000.0,
  ),
}
_ACTIVATIONS = {
  "silu": "silu",
  "gelu": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
}
# Fields that are read below, of any family.
_READ = frozenset(
  """model_type vocab_size hidden_size intermediate_size num_hidden_layers
  num_attention_heads num_key_value_heads head_dim hidden_act
  hidden_activation rms_norm_eps tie_word_embeddings rope_theta rope_scaling
  rope_parameters rope_local_base_freq attention_bias mlp_bias sliding_window
  use_sliding_window max_window_layers layer_types sliding_window_pattern
  _sliding_window_pattern query_pre_attn_scalar attn_logit_softcapping
  final_logit_softcapping max_position_embeddings initializer_range""".split()
)
# Fields of training, generation and bookkeeping.
_OF_OTHERS = frozenset(
  """architectures attention_dropout bos_token_id eos_token_id pad_token_id
  sep_token_id cls_token_id unk_token_id use_cache torch_dtype dtype
  transformers_version _name_or_path id2label label2id is_encoder_decoder
  output_attentions output_hidden_states return_dict chunk_size_feed_forward
  problem_type pretraining_tp cache_implementation _attn_implementation
  _attn_implementation_autoset attn_implementation tokenizer_class
  keys_to_ignore_at_inference name_or_path hidden_size_per_layer_input
  default_theta""".split()
)
# Fields that must have one of these values where they are there at all.
_FIXED: dict[str, tuple[Any, ...]] = {
  "use_bidirectional_attention": (None, False),
  "quantization_config": (None,),
  "partial_rotary_factor": (None, 1.0),
  "auto_map": (None,),
}


def read_config(
  directory: str | pathlib.Path, *, dtype: Any, remat: str = "none"
) -> decoder.DecoderConfig:
  """The network that `config.json` describes.

  Args:
    directory: where `config.json` is.
    dtype: "float32" or "bfloat16": what matmul operands are rounded to here.
    remat: what training computes again; see `stacks.Sizes`.

  Raises:
    CheckpointError: not there, not JSON, or an architecture, a field or a
      value of one that is not known here, by its name.
  """
  path = pathlib.Path(directory) / _CONFIG
  values = tensor_files.read_object(path)
  family = _FAMILIES.get(values.get("model_type"))
  if family is None:
    raise CheckpointError(
      f"{path}: model_type is {values.get('model_type')!r}; of decoder-only"
      f" models these can be read: {', '.join(_FAMILIES)}"
    )
  _check_fields(path, values)
  try:
    config = _config(values, family, dtype)
  except KeyError as error:
    raise CheckpointError(f"{path}: {error} is missing") from error
  except (ValueError, TypeError) as error:
    raise CheckpointError(f"{path}: {error}") from error
  return dataclasses.replace(config, remat=remat)


def _check_fields(path: pathlib.Path, values: Mapping[str, Any]) -> None:
  for name, allowed in _FIXED.items():
    if name in values and values[name] not in allowed:
      raise CheckpointError(
        f"{path}: {name} is {values[name]!r}, which cannot be read; expected"
        f" one of {allowed}"
      )
  unknown = sorted(set(values) - _READ - _OF_OTHERS - set(_FIXED))
  if unknown:
    raise CheckpointError(
      f"{path}: {unknown[0]!r} ({values[unknown[0]]!r}) is a field that is not"
      " known here, and might change what the model computes; remove it if it"
      " does not"
    )


def _config(
  values: Mapping[str, Any], family: _Family, dtype: Any
) -> decoder.DecoderConfig:
  width, heads = values["hidden_size"], values["num_attention_heads"]
  size = values.get("head_dim") or width // heads
  biased = bool(values.get("attention_bias", False))
  activation = (
    values.get("hidden_activation")
    or values.get("hidden_act")
    or family.activation
  )
  # Gemma's first files say "gelu" and mean its approximation.
  if family.gemma and activation == "gelu":
    activation = family.activation
  if activation not in _ACTIVATIONS:
    raise ValueError(
      f"hidden_act is {activation!r}, expected one of {sorted(_ACTIVATIONS)}"
    )
  return decoder.DecoderConfig(
    vocab_size=values["vocab_size"],
    emb_dim=width,
    num_heads=heads,
    num_kv_heads=values.get("num_key_value_heads") or heads,
    head_dim=size,
    mlp_dim=values["intermediate_size"],
    layers=_kinds(values, family),
    dtype=dtype,
    activation=_ACTIVATIONS[activation],
    norm_epsilon=values["rms_norm_eps"],
    norm_offset=1.0 if family.gemma else 0.0,
    query_scale=(values.get("query_pre_attn_scalar") or size) ** -0.5,
    qkv_bias=biased if family.qkv_bias is None else family.qkv_bias,
    out_bias=biased and family.qkv_bias is None,
    mlp_bias=bool(values.get("mlp_bias", False)),
    head_norms=family.head_norms,
    post_norms=family.post_norms,
    logit_cap=values.get("attn_logit_softcapping"),
    final_cap=values.get("final_logit_softcapping"),
    embedding_scale=math.sqrt(width) if family.gemma else 1.0,
    tied_head=values.get("tie_word_embeddings", family.tied),
    embedding_init_stddev=values.get("initializer_range", 0.02),
  )


def _kinds(values: Mapping[str, Any], family: _Family) -> tuple[LayerKind, ...]:
  window = values.get("sliding_window")
  angles = {kind: _rotary(values, family, kind) for kind in (_FULL, _SLIDING)}
  kinds = {
    _FULL: LayerKind(rotary=angles[_FULL]),
    _SLIDING: LayerKind(rotary=angles[_SLIDING], window=window),
  }
  names = values.get("layer_types") or _layer_types(values, family)
  depth = values["num_hidden_layers"]
  if len(names) != depth or not set(names) <= set(kinds):
    raise ValueError(
      f"layer_types is {names!r}, expected {depth} times one of {list(kinds)}"
    )
  if _SLIDING in names and not window:
    raise ValueError(f"sliding_window is {window!r}, but layers slide")
  return tuple(kinds[name] for name in names)


def _layer_types(values: Mapping[str, Any], family: _Family) -> list[str]:
  depth = values["num_hidden_layers"]
  window = values.get("sliding_window")
  if family.windows == "none" or not window:
    return [_FULL] * depth
  if family.windows == "all":
    return [_SLIDING] * depth
  if family.windows == "upper":
    if not values.get("use_sliding_window", False):
      return [_FULL] * depth
    first = values["max_window_layers"]
    return [_SLIDING if i >= first else _FULL for i in range(depth)]
  names = ("sliding_window_pattern", "_sliding_window_pattern")
  pattern = next((values[n] for n in names if n in values), None)
  every = int(pattern or family.windows)
  return [_SLIDING if (i + 1) % every else _FULL for i in range(depth)]


def _rotary(
  values: Mapping[str, Any], family: _Family, kind: str
) -> rotary.Rotary:
  """The angles of one kind of layer, from either generation's fields."""
  found = dict(values.get("rope_parameters") or {})
  if kind in found or _FULL in found:
    found = dict(found.get(kind) or {})
  # Of the older fields, the scaling is that of full attention alone where
  # layers that slide have a base of their own.
  local = "rope_local_base_freq" in values and kind == _SLIDING
  theta = values.get("rope_local_base_freq" if local else "rope_theta")
  theta = found.pop("rope_theta", theta) or family.theta
  if not found and not local:
    found = dict(values.get("rope_scaling") or {})
  length = values.get("max_position_embeddings")
  return rotary.Rotary(theta=float(theta), scaling=_scaling(found, length))


def _scaling(
  found: dict[str, Any], length: int | None
) -> rotary.Scaling | None:
  kind = found.pop("rope_type", None) or found.pop("type", None) or "default"
  found.pop("type", None)
  original = found.pop("original_max_position_embeddings", None) or length
  numbers = {n: float(value) for n, value in found.items() if value is not None}
  if kind == "default":
    made, numbers = None, {}
  elif kind == "linear":
    made = rotary.Linear(factor=numbers.pop("factor"))
  elif kind == "llama3":
    made = rotary.Llama3(
      factor=numbers.pop("factor"),
      low_freq_factor=numbers.pop("low_freq_factor"),
      high_freq_factor=numbers.pop("high_freq_factor"),
      original_length=original,
    )
  elif kind == "yarn":
    factor = numbers.pop("factor")
    size = numbers.pop("attention_factor", 0.1 * math.log(factor) + 1.0)
    made = rotary.Yarn(
      factor=factor,
      original_length=original,
      beta_fast=numbers.pop("beta_fast", 32.0),
      beta_slow=numbers.pop("beta_slow", 1.0),
      magnitude=size if factor > 1.0 else 1.0,
    )
  else:
    raise ValueError(
      f"rope_scaling of type {kind!r}; expected default, linear, llama3 or yarn"
    )
  if numbers:
    raise ValueError(f"rope_scaling of type {kind!r} has {sorted(numbers)}")
  return made
