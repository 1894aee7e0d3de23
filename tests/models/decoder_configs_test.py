# SPDX-License-Identifier: Apache-2.0
"""What config.json files say, as published and as written today."""

import dataclasses
import json

import pytest

from data_efficient.models import decoder_configs, networks, rotary
from data_efficient.models.parameter_trees import CheckpointError

_LLAMA3_ANGLES = {
  **{"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
  **{"original_max_position_embeddings": 8192, "rope_type": "llama3"},
}


def _values(sizes, **fields):
  names = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
  )
  return dict(zip(names, sizes, strict=True)) | fields


# Sizes as published, and the parameters that the model cards or the files'
# index count.
PUBLISHED = {
  "Llama 3.1 8B": (
    _values(
      (128256, 4096, 14336, 32, 32, 8),
      **{"model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5},
      **{"rope_theta": 500000.0, "rope_scaling": _LLAMA3_ANGLES},
      **{"max_position_embeddings": 131072, "tie_word_embeddings": False},
      **{"attention_bias": False, "mlp_bias": False, "torch_dtype": "bfloat16"},
    ),
    8_030_261_248,
  ),
  "Mistral 7B": (
    _values(
      (32000, 4096, 14336, 32, 32, 8),
      **{"model_type": "mistral", "hidden_act": "silu", "rms_norm_eps": 1e-5},
      **{"rope_theta": 10000.0, "sliding_window": 4096},
      **{"max_position_embeddings": 32768, "tie_word_embeddings": False},
    ),
    7_241_732_096,
  ),
  "Qwen2.5 7B": (
    _values(
      (152064, 3584, 18944, 28, 28, 4),
      **{"model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6},
      **{"rope_theta": 1000000.0, "sliding_window": 131072},
      **{"use_sliding_window": False, "max_window_layers": 28},
      **{"max_position_embeddings": 131072, "tie_word_embeddings": False},
    ),
    7_615_616_512,
  ),
  "Qwen3 8B": (
    _values(
      (151936, 4096, 12288, 36, 32, 8),
      **{"model_type": "qwen3", "hidden_act": "silu", "rms_norm_eps": 1e-6},
      **{"rope_theta": 1000000, "rope_scaling": None, "head_dim": 128},
      **{"use_sliding_window": False, "sliding_window": None},
      **{"max_window_layers": 36, "tie_word_embeddings": False},
      **{"attention_bias": False, "max_position_embeddings": 40960},
    ),
    8_190_735_360,
  ),
  "Gemma 7B": (
    _values(
      (256000, 3072, 24576, 28, 16, 16),
      **{"model_type": "gemma", "hidden_act": "gelu", "rms_norm_eps": 1e-6},
      **{"rope_theta": 10000.0, "head_dim": 256, "attention_bias": False},
      **{"max_position_embeddings": 8192, "hidden_activation": None},
    ),
    8_537_680_896,
  ),
  "Gemma 2 9B": (
    _values(
      (256000, 3584, 14336, 42, 16, 8),
      **{"model_type": "gemma2", "hidden_act": "gelu_pytorch_tanh"},
      **{"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6},
      **{"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 4096},
      **{"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
      **{"rope_theta": 10000.0, "max_position_embeddings": 8192},
    ),
    9_241_705_984,
  ),
  "Gemma 3 1B": (
    _values(
      (262144, 1152, 6912, 26, 4, 1),
      **{"model_type": "gemma3_text", "rms_norm_eps": 1e-6, "head_dim": 256},
      **{"hidden_activation": "gelu_pytorch_tanh", "sliding_window": 512},
      **{"query_pre_attn_scalar": 256, "sliding_window_pattern": 6},
      **{"rope_theta": 1000000, "rope_local_base_freq": 10000},
      **{"rope_scaling": None, "attn_logit_softcapping": None},
      **{"final_logit_softcapping": None, "max_position_embeddings": 32768},
    ),
    999_885_952,
  ),
}


@pytest.fixture
def read(tmp_path):
  def read(values):
    (tmp_path / "config.json").write_text(json.dumps(values))
    return decoder_configs.read_config(tmp_path, dtype="bfloat16")

  return read


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(read, name):
  values, parameters = PUBLISHED[name]
  config = read(values)
  one, two = (
    networks.parameter_count(
      dataclasses.replace(config, layers=config.layers[:depth])
    )
    for depth in (1, 2)
  )
  assert one + (two - one) * (len(config.layers) - 1) == parameters


def test_both_generations_of_files_say_the_same(read):
  values, _ = PUBLISHED["Llama 3.1 8B"]
  older = read(values)
  newer = {n: v for n, v in values.items() if not n.startswith("rope")}
  newer["rope_parameters"] = {"rope_theta": 500000.0, **_LLAMA3_ANGLES}
  assert read(newer) == older
  scaling = older.layers[0].rotary.scaling
  assert scaling == rotary.Llama3(
    factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_length=8192
  )
  values, _ = PUBLISHED["Gemma 3 1B"]
  older = read(values | {"rope_scaling": {"rope_type": "linear", "factor": 8}})
  newer = {n: v for n, v in values.items() if not n.startswith("rope")}
  newer["rope_parameters"] = {
    "full_attention": {
      **{"rope_type": "linear", "factor": 8, "rope_theta": 1000000},
    },
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000},
  }
  assert read(newer) == older
  windows = [kind.window for kind in older.layers[:7]]
  assert windows == [512] * 5 + [None, 512]
  assert older.layers[0].rotary == rotary.Rotary(theta=10000.0)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"model_type": "mpt"}, "model_type is 'mpt'.*llama, mistral"),
    ({"clip_qkv": 8.0}, "'clip_qkv' .8.0. is a field"),
    ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ({"quantization_config": {"bits": 4}}, "quantization_config"),
    ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic'"),
    (
      {"rope_scaling": {"type": "linear", "factor": 2.0, "short_factor": 1}},
      "short_factor",
    ),
    ({"num_key_value_heads": 7}, "7 heads of keys"),
    ({"layer_types": ["full_attention"]}, "layer_types"),
    ({"layer_types": ["sliding_attention"] * 32}, "sliding_window is None"),
    ({"hidden_size": None}, "config.json: "),
  ],
)
def test_what_is_not_known_is_refused_by_name(read, change, said):
  values, _ = PUBLISHED["Llama 3.1 8B"]
  with pytest.raises(CheckpointError, match=said):
    read(values | change)


def test_a_missing_size_is_named(read):
  values = dict(PUBLISHED["Qwen3 8B"][0])
  del values["intermediate_size"]
  with pytest.raises(CheckpointError, match="'intermediate_size' is missing"):
    read(values)
