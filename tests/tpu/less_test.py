# SPDX-License-Identifier: Apache-2.0
"""LESS's step compiles for 16 chips, and fits: a gradient a row, projected.

Llama 3 8B, kept in bf16, with LoRA of rank 8 on all projections: 21 million
numbers a gradient, projected to 8,192 dimensions.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from data_efficient.kernels.gradient_features import AdamRates, Moments
from data_efficient.models import adapters, partitioning, topologies
from data_efficient.scorers import less_gradients
from tests.tpu import decoder_test

LORA = adapters.Lora(rank=8, alpha=32.0, dropout_rate=0.1)
ROWS, LENGTH = 4, 512

placed = decoder_test.placed


def test_projected_gradients(placed, compile_for_tpu):
  network, mesh, parameters = placed("llama_8b", "v5e")
  adapter = topologies.laid_out(
    adapters.shapes(network, LORA),
    adapters.shardings(
      network, LORA, partitioning.parameter_shardings(network, mesh)
    ),
  )
  whole = NamedSharding(mesh, PartitionSpec())
  scalar = jax.ShapeDtypeStruct((), jnp.int32, sharding=whole)
  batch = {
    name: topologies.struct(mesh, (ROWS, LENGTH), kind, "data")
    for name, kind in (
      ("decoder_input_tokens", jnp.int32),
      ("decoder_target_tokens", jnp.int32),
      ("counted", jnp.bool_),
    )
  }
  key = jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))
  compile_for_tpu(
    functools.partial(
      less_gradients.features,
      network=network,
      lora=LORA,
      rates=AdamRates(0.9, 0.999, 1e-8, 0.0),
      dimensions=8192,
    ),
    parameters,
    adapter,
    Moments(scalar, adapter, adapter),
    batch,
    jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=whole),
    limit=6200 * 2**20,
    options=topologies.QUICKLY,
  )
