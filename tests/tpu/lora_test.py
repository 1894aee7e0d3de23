# SPDX-License-Identifier: Apache-2.0
"""A LoRA step of Llama 3 8B compiles for 16 chips, and fits.

The base is kept in bf16 (embeddings, head and norms in fp32) and never has a
gradient; what a layer computes is computed again on the way back.
"""

import functools
import json

import jax
import jax.numpy as jnp
import pytest

from data_efficient.models import (
  adapters,
  decoder_configs,
  networks,
  partitioning,
  topologies,
)
from data_efficient.training import optimizers, step
from tests.tpu import ask_llm_test, decoder_test

LENGTH = 512
LORA = adapters.Lora(rank=8, alpha=32.0, dropout_rate=0.1)
ADAMW = optimizers.adamw(b1=0.9, b2=0.999, epsilon=1e-8, weight_decay=0.01)


@pytest.mark.parametrize("chip, rows, limit_mib", [("v5e", 8, 5600)])
def test_a_lora_step(
  chip, rows, limit_mib, tmp_path, tpu_slice, compile_for_tpu
):
  config = decoder_test.CONFIGS["llama_8b"]
  (tmp_path / "config.json").write_text(json.dumps(config))
  network = decoder_configs.read_config(
    tmp_path, dtype="bfloat16", remat="full"
  )
  mesh = partitioning.mesh(
    model_parallel=decoder_test.MODEL_PARALLEL, devices=tpu_slice(chip)
  )
  optimizer = ADAMW(optimizers.constant(learning_rate=2e-4))
  state = topologies.laid_out(
    jax.eval_shape(
      lambda key: step.initial_state(network, optimizer, key, LORA),
      jax.random.key(0),
    ),
    step.state_shardings(network, optimizer, mesh, LORA),
  )
  base = topologies.laid_out(
    ask_llm_test.stored(network),
    partitioning.parameter_shardings(network, mesh),
  )
  batch = {
    name: topologies.struct(mesh, (rows, LENGTH), jnp.int32, "data")
    for name in (*network.required, "decoder_loss_weights")
  }
  # 21 million parameters of 8 billion are trained.
  trained = sum(leaf.size for leaf in jax.tree.leaves(state.parameters))
  assert trained < 0.003 * networks.parameter_count(network)
  with partitioning.activate(mesh):
    compile_for_tpu(
      functools.partial(
        step.train_step,
        network=network,
        optimizer=optimizer,
        z_loss=0.0,
        seed=0,
        lora=LORA,
      ),
      state,
      batch,
      base,
      limit=limit_mib * 2**20,
      options=topologies.QUICKLY,
    )
