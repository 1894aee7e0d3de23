# SPDX-License-Identifier: Apache-2.0
"""Decoders compile for 16 chips, and fit: Ask-LLM, utility, greedy decoding.

The networks are those of the published config.json of Llama 3 8B and of
Gemma 7B; kernels are kept in bf16, embeddings, head and norms in fp32.
"""

import functools
import json

import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import (
  decoder_configs,
  networks,
  partitioning,
  topologies,
)
from data_efficient.scorers import answers, pair_steps
from data_efficient.training import causal_decoding
from tests.tpu import ask_llm_test

_COMMON = {"num_key_value_heads": 8, "rms_norm_eps": 1e-5, "head_dim": 128}
CONFIGS = {
  "llama_8b": {
    **_COMMON,
    **{"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096},
    **{"intermediate_size": 14336, "num_hidden_layers": 32},
    **{"num_attention_heads": 32, "hidden_act": "silu"},
    **{"rope_theta": 500000.0, "tie_word_embeddings": False},
    "max_position_embeddings": 8192,
  },
  "gemma_7b": {
    **_COMMON,
    **{"model_type": "gemma", "vocab_size": 256000, "hidden_size": 3072},
    **{"intermediate_size": 24576, "num_hidden_layers": 28},
    **{"num_attention_heads": 16, "num_key_value_heads": 16},
    **{"head_dim": 256, "rms_norm_eps": 1e-6, "hidden_act": "gelu"},
    "max_position_embeddings": 8192,
  },
}
# Devices that share one copy of the parameters; the others take other rows.
MODEL_PARALLEL = 4


@pytest.fixture
def placed(tmp_path, tpu_slice):
  """(network, mesh, parameters): placed(name, chip)."""

  def place(name, chip):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS[name]))
    network = decoder_configs.read_config(tmp_path, dtype="bfloat16")
    mesh = partitioning.mesh(
      model_parallel=MODEL_PARALLEL, devices=tpu_slice(chip)
    )
    parameters = topologies.laid_out(
      ask_llm_test.stored(network),
      partitioning.parameter_shardings(network, mesh),
    )
    assert 7.9e9 < networks.parameter_count(network) < 8.6e9
    return network, mesh, parameters

  return place


@pytest.mark.parametrize(
  "name, chip, rows, limit_mib",
  [
    ("llama_8b", "v5e", 64, 5500),
    ("llama_8b", "v6e", 128, 6200),
    ("gemma_7b", "v5e", 64, 5500),
    ("gemma_7b", "v6e", 128, 6200),
  ],
)
def test_log_p_yes(name, chip, rows, limit_mib, placed, compile_for_tpu):
  network, mesh, parameters = placed(name, chip)
  tokens = topologies.struct(
    mesh, (rows, ask_llm_test.LENGTH), jnp.int32, "data"
  )
  with partitioning.activate(mesh):
    compile_for_tpu(
      functools.partial(
        answers.log_probabilities,
        network=network,
        answers=ask_llm_test.ANSWERS,
      ),
      parameters,
      tokens,
      limit=limit_mib * 2**20,
      options=topologies.QUICKLY,
    )


@pytest.mark.parametrize(
  "chip, examples, limit_mib", [("v5e", 4, 5200), ("v6e", 8, 5700)]
)
def test_utility_of_a_block(chip, examples, limit_mib, placed, compile_for_tpu):
  """Examples of 256 tokens, each with 64 targets of 64, 32 of them answers."""
  network, mesh, parameters = placed("llama_8b", chip)
  tokens = topologies.struct(mesh, (examples, 256), jnp.int32, "data")
  targets = (
    topologies.struct(mesh, (64, length), jnp.int32) for length in (64, 32, 32)
  )

  def block(parameters, tokens, targets, index, answers):
    past = pair_steps.read(parameters, tokens, network=network)
    states = pair_steps.continued(parameters, past, targets, network=network)
    return pair_steps.predicted(
      parameters, states, index, answers, network=network
    )

  with partitioning.activate(mesh):
    compile_for_tpu(
      block,
      parameters,
      tokens,
      *targets,
      limit=limit_mib * 2**20,
      options=topologies.QUICKLY,
    )


def test_greedy_decoding(placed, compile_for_tpu):
  """Prompts of 1,024 tokens and answers of up to 150, with their cache.

  Of a row, keys and values are 128 KiB a token in bf16; the slice holds 64
  rows, of which a chip has a quarter of 16: 600 MiB.
  """
  network, mesh, parameters = placed("llama_8b", "v5e")
  prompts = causal_decoding.Prompts(
    topologies.struct(mesh, (64, 1024), jnp.int32, "data"),
    topologies.struct(mesh, (64, 1024), jnp.bool_, "data"),
  )
  with partitioning.activate(mesh):
    compile_for_tpu(
      functools.partial(
        causal_decoding.greedy,
        network=network,
        length=150,
        eos_ids=np.array([128001, 128009], np.int32),
      ),
      parameters,
      prompts,
      limit=7000 * 2**20,
      options=topologies.QUICKLY,
    )
