# SPDX-License-Identifier: Apache-2.0
"""What is exported reads back: the network, and its parameters to the bit."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import (
  config_files,
  decoder_configs,
  decoder_files,
  decoder_layers,
  huggingface,
  networks,
  rotary,
)
from data_efficient.models.parameter_trees import CheckpointError
from tests.networks import FULL, llama, t5

_SLIDING = dataclasses.replace(FULL, window=4)
_GEMMA = {
  **{"activation": "gelu_tanh", "norm_offset": 1.0, "tied_head": True},
  **{"embedding_scale": math.sqrt(16), "norm_epsilon": 1e-6},
}


def _scaled(scaling):
  kind = decoder_layers.LayerKind(
    rotary=rotary.Rotary(theta=5000.0, scaling=scaling)
  )
  return {"layers": (kind, kind)}


_LOCAL = decoder_layers.LayerKind(rotary=rotary.Rotary(theta=1000.0), window=4)
NETWORKS = {
  "llama": {"tied_head": False},
  "llama biased": {"qkv_bias": True, "out_bias": True, "mlp_bias": True},
  "llama linear": _scaled(rotary.Linear(factor=2.0)),
  "llama 3.1": _scaled(
    rotary.Llama3(
      factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_length=64
    )
  ),
  "llama yarn": _scaled(
    rotary.Yarn(
      **{"factor": 4.0, "original_length": 64, "beta_fast": 32.0},
      **{"beta_slow": 1.0, "magnitude": 1.1},
    )
  ),
  "mistral": {"layers": (_SLIDING, _SLIDING), "tied_head": False},
  "qwen2": {"qkv_bias": True},
  "qwen2 upper": {"qkv_bias": True, "layers": (FULL, _SLIDING)},
  "qwen3": {"head_norms": True},
  "qwen3 biased": {"head_norms": True, "qkv_bias": True, "out_bias": True},
  "gemma": _GEMMA,
  "gemma2": _GEMMA
  | {"post_norms": True, "logit_cap": 50.0, "final_cap": 30.0}
  | {"query_scale": 6**-0.5, "layers": (_SLIDING, FULL)},
  "gemma3_text": _GEMMA
  | {"post_norms": True, "head_norms": True, "layers": (_LOCAL, FULL)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_decoder_reads_back(name, tmp_path):
  config = llama(vocab_size=40, **NETWORKS[name])
  parameters = _parameters(config)
  decoder_files.save(tmp_path, parameters, config=config)
  values = json.loads((tmp_path / "config.json").read_text())
  assert values["model_type"] == name.split()[0]
  assert decoder_configs.read_config(tmp_path, dtype="float32") == config
  _assert_loads(decoder_files, tmp_path, config, parameters)


def test_a_t5_reads_back(tmp_path):
  config = t5(vocab_size=40, relative_attention_num_buckets=8)
  parameters = _parameters(config)
  huggingface.save(tmp_path, parameters, config=config)
  assert huggingface.read_config(tmp_path, dtype="float32") == config
  _assert_loads(huggingface, tmp_path, config, parameters)


def test_in_bfloat16_values_are_rounded_once(tmp_path):
  config = llama(vocab_size=40)
  parameters = _parameters(config)
  decoder_files.save(tmp_path, parameters, config=config, dtype="bfloat16")
  rounded = jax.tree.map(
    lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), parameters
  )
  _assert_loads(decoder_files, tmp_path, config, rounded)
  values = json.loads((tmp_path / "config.json").read_text())
  assert values["torch_dtype"] == "bfloat16"


def test_many_tensors_go_to_several_files(tmp_path, monkeypatch):
  from data_efficient.models import tensor_files

  save = tensor_files.save_parameters
  monkeypatch.setattr(
    tensor_files,
    "save_parameters",
    lambda *a, **k: save(*a, **k, file_bytes=4000),
  )
  config = llama(vocab_size=40)
  parameters = _parameters(config)
  decoder_files.save(tmp_path, parameters, config=config)
  files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
  assert files[0].startswith("model-00001-of-0000") and len(files) > 3
  # None holds more than is allowed, header aside, and none stands alone.
  sizes = [(tmp_path / name).stat().st_size for name in files]
  assert max(sizes) < 4000 + 1500
  index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
  assert index["metadata"]["total_size"] == 4 * networks.parameter_count(config)
  _assert_loads(decoder_files, tmp_path, config, parameters)


@pytest.mark.parametrize(
  "fields, match",
  [
    ({"out_bias": True}, "nearest, .*, differs in .*bias"),
    ({"query_scale": 0.3}, "differs in query_scale"),
    ({"final_cap": 3.0}, "differs in final_cap"),
  ],
)
def test_a_network_of_no_family_is_refused(fields, match):
  with pytest.raises(CheckpointError, match=match):
    config_files.of_decoder(llama(vocab_size=40, **fields))


def test_values_that_mean_another_network_are_refused(tmp_path):
  config = llama(vocab_size=40)
  with pytest.raises(CheckpointError, match="differs in norm_epsilon"):
    decoder_files.save(
      tmp_path,
      _parameters(config),
      config=config,
      values=config_files.of_decoder(config) | {"rms_norm_eps": 1e-3},
    )


def _parameters(config):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32),
    networks.parameter_shapes(config),
  )


def _assert_loads(files, directory, config, parameters):
  shapes = networks.parameter_shapes(config)
  device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  found = files.load_parameters(
    directory,
    config=config,
    shardings=jax.tree.map(lambda _: device, shapes),
    dtypes=jax.tree.map(lambda _: "float32", shapes),
  )
  jax.tree.map(np.testing.assert_array_equal, found, parameters)
