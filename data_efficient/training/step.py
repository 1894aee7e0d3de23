# SPDX-License-Identifier: Apache-2.0
"""One optimizer step and one evaluation step, as pure functions.

They are jitted by the engine over its mesh, and compiled ahead of time for
TPUs by `make tpu`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from data_efficient.kernels import likelihood
from data_efficient.models import encoder_decoder, partitioning

# seqio's encoder-decoder features: encoder_input_tokens [b, s],
# decoder_input_tokens, decoder_target_tokens, decoder_loss_weights [b, t].
Batch = dict[str, Any]


class State(NamedTuple):
  """All that training carries from step to step."""

  step: Int[Array, ""]
  parameters: Any
  optimizer_state: Any


class StepMetrics(NamedTuple):
  """Of one step's batch: mean loss (nats a token) and its target tokens."""

  loss: Float[Array, ""]
  tokens: Float[Array, ""]


def initial_state(
  network: encoder_decoder.T5Config,
  optimizer: optax.GradientTransformation,
  key: Array,
) -> State:
  """Freshly initialised parameters and optimizer at step 0."""
  parameters = encoder_decoder.init_parameters(network, key)
  return State(
    step=jnp.zeros((), jnp.int32),
    parameters=parameters,
    optimizer_state=optimizer.init(parameters),
  )


def state_shardings(
  network: encoder_decoder.T5Config,
  optimizer: optax.GradientTransformation,
  mesh: jax.sharding.Mesh,
) -> State:
  """Where each array of a state lives on the mesh.

  An accumulator of a parameter's shape lies where the parameter does; the
  factored ones are a row or a column, small enough to be whole everywhere.
  """
  parameters = partitioning.parameter_shardings(network, mesh)
  shapes = encoder_decoder.parameter_shapes(network)
  whole = partitioning.replicated(mesh)

  def like_parameter(leaf, shape, sharding):
    return sharding if leaf.shape == shape.shape else whole

  optimizer_state = optax.tree.map_params(
    optimizer,
    like_parameter,
    jax.eval_shape(optimizer.init, shapes),
    shapes,
    parameters,
    transform_non_params=lambda leaf: whole,
  )
  return State(whole, parameters, optimizer_state)


def train_step(
  state: State,
  batch: Batch,
  *,
  network: encoder_decoder.T5Config,
  optimizer: optax.GradientTransformation,
  z_loss: float,
  seed: int,
) -> tuple[State, StepMetrics]:
  """One Adafactor step on one batch; dropout's key is (seed, step)."""
  dropout = jax.random.fold_in(jax.random.key(seed), state.step)

  def loss(parameters) -> tuple[Array, likelihood.LossSums]:
    logits = _logits(parameters, batch, network, dropout)
    sums = _loss_sums(logits, batch)
    mean = likelihood.means(sums)
    return mean.loss + z_loss * mean.squared_log_normalizer, sums

  gradients, sums = jax.grad(loss, has_aux=True)(state.parameters)
  updates, optimizer_state = optimizer.update(
    gradients, state.optimizer_state, state.parameters
  )
  parameters = optax.apply_updates(state.parameters, updates)
  metrics = StepMetrics(likelihood.means(sums).loss, sums.weight)
  return State(state.step + 1, parameters, optimizer_state), metrics


def evaluation_step(
  parameters: Any, batch: Batch, *, network: encoder_decoder.T5Config
) -> likelihood.LossSums:
  """Loss sums of one batch, without dropout."""
  return _loss_sums(_logits(parameters, batch, network, None), batch)


def _logits(parameters, batch: Batch, network, dropout) -> Array:
  module = encoder_decoder.Transformer(network)
  return module.apply(
    {"params": parameters},
    batch["encoder_input_tokens"],
    batch["decoder_input_tokens"],
    batch["decoder_target_tokens"],
    enable_dropout=dropout is not None and network.dropout_rate > 0.0,
    rngs=None if dropout is None else {"dropout": dropout},
  )


def _loss_sums(logits: Array, batch: Batch) -> likelihood.LossSums:
  weights = batch["decoder_loss_weights"].astype(jnp.float32)
  return likelihood.loss_sums(logits, batch["decoder_target_tokens"], weights)
