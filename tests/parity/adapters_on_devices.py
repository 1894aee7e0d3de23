# SPDX-License-Identifier: Apache-2.0
"""Run by `adapters_steps_test` in a process that has four CPU devices."""

import functools

import jax
import numpy as np
from jax.sharding import PartitionSpec

from data_efficient.models import adapters, networks, partitioning
from data_efficient.training import optimizers, step
from tests.models import conftest


def test_a_sharded_adapter_takes_the_step_of_a_whole_one():
  config, example = conftest.CONFIG, conftest.Example
  parameters = networks.init_parameters(config, jax.random.key(0))
  mesh = partitioning.mesh(model_parallel=2)
  lora = adapters.Lora(rank=3, alpha=6.0, dropout_rate=0.0)
  adamw = optimizers.adamw(b1=0.9, b2=0.999, epsilon=1e-8, weight_decay=0.1)
  optimizer = adamw(optimizers.constant(learning_rate=0.1))
  batch = {
    "encoder_input_tokens": example.source,
    "decoder_input_tokens": example.inputs,
    "decoder_target_tokens": example.targets,
    "decoder_loss_weights": (example.targets > 0).astype(int),
  }
  train = jax.jit(
    functools.partial(
      step.train_step,
      **{"network": config, "optimizer": optimizer, "lora": lora},
      **{"z_loss": 0.0, "seed": 0},
    )
  )

  def two_steps(state, batch, base):
    state, _ = train(state, batch, base)
    return train(state, batch, base)

  state = step.initial_state(config, optimizer, jax.random.key(0), lora)
  whole, metrics = two_steps(state, batch, parameters)
  places = step.state_shardings(config, optimizer, mesh, lora)
  with partitioning.activate(mesh):
    sharded, measured = two_steps(
      jax.device_put(state, places),
      jax.device_put(batch, partitioning.batch_sharding(mesh)),
      jax.device_put(
        parameters, partitioning.parameter_shardings(config, mesh)
      ),
    )
  query = places.parameters["encoder"]["layers_0"]["attention"]["query"]
  assert query["a"].spec == PartitionSpec(None, None)
  assert query["b"].spec == PartitionSpec(None, "model")
  down = places.parameters["decoder"]["layers_1"]["mlp"]["wo"]
  assert down["a"].spec == PartitionSpec("model", None)
  # The optimizer's means lie where their parameters do.
  assert places.optimizer_state[0].mu == places.parameters
  np.testing.assert_allclose(measured.loss, metrics.loss, rtol=1e-5)
  for path, leaf in jax.tree_util.tree_leaves_with_path(whole.parameters):
    found = sharded.parameters
    for key in path:
      found = found[key.key]
    np.testing.assert_allclose(found, leaf, atol=1e-4)
