# SPDX-License-Identifier: Apache-2.0
"""Decoder-only networks against transformers and torch, in fp32."""

import functools
import json

import jax
import numpy as np
import pytest
import torch
import transformers

from data_efficient.models import checkpoints, decoder_configs, networks

# The largest difference of any log-probability, nats.
LIMIT = 1e-4

_SIZES = {
  **{"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48},
  **{"num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 16},
  **{"num_key_value_heads": 2, "max_position_embeddings": 256},
}
_WINDOWED = {"sliding_window": 5}
# A name for each habit, the config of transformers that has it, and fields.
CASES = {
  "llama": ("Llama", {}),
  "llama_biased_tied": (
    "Llama",
    {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
  ),
  "llama3_angles": (
    "Llama",
    {
      "rope_theta": 500.0,
      "rope_scaling": {
        **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0},
        **{"high_freq_factor": 4.0, "original_max_position_embeddings": 64},
      },
    },
  ),
  "linear_angles": (
    "Llama",
    {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
  ),
  "mistral": ("Mistral", _WINDOWED),
  "mistral_without_window": ("Mistral", {"sliding_window": None}),
  "qwen2": ("Qwen2", {"num_key_value_heads": 1}),
  "qwen2_windows": (
    "Qwen2",
    {**_WINDOWED, "use_sliding_window": True, "max_window_layers": 2},
  ),
  "yarn_angles": (
    "Qwen2",
    {
      "rope_scaling": {
        **{"rope_type": "yarn", "factor": 4.0},
        **{"original_max_position_embeddings": 32},
      }
    },
  ),
  "qwen3": ("Qwen3", {}),
  "gemma": ("Gemma", {"num_key_value_heads": 4}),
  "gemma2": ("Gemma2", {**_WINDOWED, "query_pre_attn_scalar": 24}),
  "gemma3": (
    "Gemma3Text",
    {
      **{"sliding_window": 5, "query_pre_attn_scalar": 24},
      **{"sliding_window_pattern": 3, "rope_local_base_freq": 100.0},
      "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
  ),
}


@functools.lru_cache
def _peer(case, directory):
  """A random network, saved and read back in float32."""
  family, fields = CASES[case]
  config = getattr(transformers, f"{family}Config")(**_SIZES | fields)
  family = family.removesuffix("Text")
  torch.manual_seed(1)
  model = getattr(transformers, f"{family}ForCausalLM")(config)
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      if "norm" in name or "bias" in name:
        parameter.uniform_(-0.5, 0.5)
      else:
        parameter.normal_(0.0, 0.4)
  model.save_pretrained(directory, max_shard_size="60KB")
  return model.eval()


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
  directory = tmp_path_factory.mktemp(request.param)
  theirs = _peer(request.param, directory)
  config = decoder_configs.read_config(directory, dtype="float32")
  parameters = checkpoints.load_parameters(directory, config=config)
  return theirs, config, parameters, directory


@functools.partial(jax.jit, static_argnames="config")
def _logits(config, parameters, tokens, valid):
  module = config.module()

  def run(module):
    return module.head(module.read(tokens, valid)[0])

  return module.apply({"params": parameters}, method=run)


def _log_softmax(logits):
  logits = np.asarray(logits, np.float64)
  return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def _theirs(model, tokens, valid):
  with torch.inference_mode():
    positions = np.maximum(np.cumsum(valid, axis=1) - 1, 0)
    found = model(
      input_ids=torch.tensor(tokens),
      attention_mask=torch.tensor(valid).long(),
      position_ids=torch.tensor(positions),
    ).logits
  return _log_softmax(found)


def test_log_probabilities(pair):
  theirs, config, parameters, _ = pair
  tokens = np.random.default_rng(0).integers(0, 96, (3, 24))
  lengths = np.array([24, 17, 3])[:, None]
  for valid in (
    np.arange(24) < lengths,
    np.arange(24) >= 24 - lengths,  # padded on the left
  ):
    ours = _log_softmax(_logits(config, parameters, tokens, valid))
    found = _theirs(theirs, tokens, valid)
    np.testing.assert_allclose(ours[valid], found[valid], atol=LIMIT, rtol=0)
    assert np.ptp(found[valid]) > 1


def test_the_call_of_the_train_step(pair):
  theirs, config, parameters, _ = pair
  tokens = np.random.default_rng(1).integers(0, 96, (2, 20))
  batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
  ours = networks.logits(config, parameters, batch, dropout=None)
  found = _theirs(theirs, tokens, np.ones_like(tokens, bool))
  np.testing.assert_allclose(_log_softmax(ours), found, atol=LIMIT, rtol=0)


def test_reading_in_pieces(pair):
  theirs, config, parameters, _ = pair
  rng = np.random.default_rng(2)
  example, targets = rng.integers(0, 96, (1, 12)), rng.integers(0, 96, (3, 9))
  valid = np.arange(9) < np.array([[9], [4], [7]])

  def run(module):
    # Three tokens of padding between the pieces.
    padded = np.pad(example, ((0, 0), (0, 3)))
    _, past = module.read(padded, np.arange(15)[None] < 12)
    return module.head(module.read(targets, valid, past)[0])

  ours = config.module().apply({"params": parameters}, method=run)
  tokens = np.concatenate([example.repeat(3, axis=0), targets], axis=1)
  every = np.concatenate([np.ones((3, 12), bool), valid], axis=1)
  found = _theirs(theirs, tokens, every)[:, 12:]
  np.testing.assert_allclose(
    _log_softmax(ours)[valid], found[valid], atol=LIMIT, rtol=0
  )


def test_an_unknown_field_is_refused_by_its_name(pair):
  *_, directory = pair
  path = directory / "config.json"
  values = json.loads(path.read_text())
  (directory / "changed").mkdir()
  changed = directory / "changed" / "config.json"
  for field, value in (("clip_qkv", 8.0), ("model_type", "mpt")):
    changed.write_text(json.dumps(values | {field: value}))
    with pytest.raises(checkpoints.CheckpointError, match=field):
      decoder_configs.read_config(changed.parent, dtype="float32")
