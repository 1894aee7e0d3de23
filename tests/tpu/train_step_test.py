# SPDX-License-Identifier: Apache-2.0
"""The local engine's train step, compiled for a v5e slice."""

import functools

import jax
import jax.numpy as jnp
import pytest

from data_efficient.models import encoder_decoder, partitioning
from data_efficient.training import optimizers, step
from tests.tpu import harness

# The paper's lengths: 512 tokens of input, 114 of targets.
INPUTS, TARGETS = 512, 114


def _config(**sizes) -> encoder_decoder.T5Config:
  return encoder_decoder.T5Config(
    dtype="bfloat16",
    dropout_rate=0.0,
    embedding_init_stddev=1.0,
    **sizes,
  )


QUICKSTART = _config(
  vocab_size=8192,
  emb_dim=96,
  num_heads=6,
  head_dim=16,
  mlp_dim=256,
  num_encoder_layers=2,
  num_decoder_layers=2,
)
SMALL = _config(
  vocab_size=32128,
  emb_dim=512,
  num_heads=6,
  head_dim=64,
  mlp_dim=1024,
  num_encoder_layers=8,
  num_decoder_layers=8,
)


@pytest.mark.parametrize(
  "config, batch_size, model_parallel, limit_gib",
  [(QUICKSTART, 1024, 1, 3), (SMALL, 128, 1, 4), (SMALL, 128, 2, 4)],
  ids=["quickstart", "small", "small, 2-way model parallel"],
)
def test_the_train_step_fits_a_chip(
  tpu_devices, compile_for_tpu, config, batch_size, model_parallel, limit_gib
):
  mesh = partitioning.mesh(model_parallel=model_parallel, devices=tpu_devices)
  optimizer = optimizers.adafactor(optimizers.rsqrt(base=1.0, warmup_steps=10))
  state = harness.laid_out(
    jax.eval_shape(
      functools.partial(step.initial_state, config, optimizer),
      jax.random.key(0),
    ),
    step.state_shardings(config, optimizer, mesh),
  )
  batch = {
    name: harness.struct(mesh, (batch_size, length), jnp.int32, "data")
    for name, length in (
      ("encoder_input_tokens", INPUTS),
      ("decoder_input_tokens", TARGETS),
      ("decoder_target_tokens", TARGETS),
      ("decoder_loss_weights", TARGETS),
    )
  }
  train = functools.partial(
    step.train_step, network=config, optimizer=optimizer, z_loss=1e-4, seed=0
  )
  with partitioning.activate(mesh):
    jitted = jax.jit(train, donate_argnums=0)
    compile_for_tpu(jitted, state, batch, limit=limit_gib * 2**30)
