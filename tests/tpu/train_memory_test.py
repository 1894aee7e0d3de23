# SPDX-License-Identifier: Apache-2.0
"""Remat and microbatches: less memory a chip for the same train step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from data_efficient.models import encoder_decoder, partitioning
from data_efficient.training import optimizers, step
from tests.tpu import harness

BATCH, INPUTS, TARGETS = 128, 512, 114
NETWORK = encoder_decoder.T5Config(
  vocab_size=2048,
  emb_dim=128,
  num_heads=2,
  head_dim=64,
  mlp_dim=256,
  num_encoder_layers=2,
  num_decoder_layers=2,
  dtype="bfloat16",
  dropout_rate=0.0,
  embedding_init_stddev=1.0,
)


def test_remat_and_microbatches_need_less_memory(tpu_devices):
  mesh = partitioning.mesh(model_parallel=1, devices=tpu_devices)
  optimizer = optimizers.adafactor(optimizers.rsqrt(base=1.0, warmup_steps=10))
  state = harness.laid_out(
    jax.eval_shape(
      functools.partial(step.initial_state, NETWORK, optimizer),
      jax.random.key(0),
    ),
    step.state_shardings(NETWORK, optimizer, mesh),
  )
  batch = {
    name: harness.struct(
      mesh,
      (BATCH, INPUTS if name.startswith("encoder") else TARGETS),
      jnp.int32,
      "data",
    )
    for name in (*NETWORK.required, "decoder_loss_weights")
  }

  def temporaries(remat: str, microbatches: int) -> int:
    train = functools.partial(
      step.train_step,
      network=dataclasses.replace(NETWORK, remat=remat),
      optimizer=optimizer,
      z_loss=1e-4,
      seed=0,
      microbatches=microbatches,
    )
    compiled = jax.jit(train, donate_argnums=0).lower(state, batch).compile()
    found = compiled.memory_analysis().temp_size_in_bytes
    print(f"\nremat {remat}, {microbatches} microbatches:", end="")
    print(f" {found / 2**20:,.0f} MiB of temporaries a chip", end="")
    return found

  with partitioning.activate(mesh):
    none, parts = temporaries("none", 1), temporaries("none", 4)
    minimal, full = temporaries("minimal", 1), temporaries("full", 1)
  assert parts < 0.6 * none
  assert full < minimal < 0.8 * none
