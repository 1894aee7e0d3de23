# SPDX-License-Identifier: Apache-2.0
"""One optimizer step and one evaluation step, as pure functions.

They are jitted by the engine over its mesh, and compiled ahead of time for
TPUs by `make tpu`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.linen import partitioning as flax_partitioning
from jaxtyping import Array, Float, Int

from data_efficient.kernels import likelihood
from data_efficient.models import adapters, networks, partitioning

# seqio's features, each [b, length]: those that the network needs (its
# `required`), and decoder_loss_weights, a 0/1 mask or float32 weights.
Batch = dict[str, Any]


class State(NamedTuple):
  """All that training carries from step to step.

  Attributes:
    step: steps done.
    parameters: what is trained: the network's, or an adapter's.
    optimizer_state: of these.
  """

  step: Int[Array, ""]
  parameters: Any
  optimizer_state: Any


class StepMetrics(NamedTuple):
  """Of one step's batch: mean loss (nats a token) and its target tokens."""

  loss: Float[Array, ""]
  tokens: Float[Array, ""]


def initial_state(
  network: networks.Network,
  optimizer: optax.GradientTransformation,
  key: Array,
  lora: adapters.Lora | None = None,
) -> State:
  """Freshly initialised parameters, or adapter, and optimizer at step 0."""
  if lora is None:
    parameters = networks.init_parameters(network, key)
  else:
    parameters = adapters.init(network, lora, key)
  return State(
    step=jnp.zeros((), jnp.int32),
    parameters=parameters,
    optimizer_state=optimizer.init(parameters),
  )


def state_shardings(
  network: networks.Network,
  optimizer: optax.GradientTransformation,
  mesh: jax.sharding.Mesh,
  lora: adapters.Lora | None = None,
) -> State:
  """Where each array of a state lives on the mesh.

  An accumulator of a parameter's shape lies where the parameter does; the
  factored ones are a row or a column, small enough to be whole everywhere.
  """
  parameters = partitioning.parameter_shardings(network, mesh)
  shapes = networks.parameter_shapes(network)
  if lora is not None:
    parameters = adapters.shardings(network, lora, parameters)
    shapes = adapters.shapes(network, lora)
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
  base: Any = None,
  *,
  network: networks.Network,
  optimizer: optax.GradientTransformation,
  z_loss: float,
  seed: int,
  microbatches: int = 1,
  lora: adapters.Lora | None = None,
) -> tuple[State, StepMetrics]:
  """One optimizer step on one batch.

  Args:
    state: before the step.
    batch: its rows divide by `microbatches`.
    base: the network's parameters, where an adapter is trained.
    network: what is trained.
    optimizer: of `state`.
    z_loss: coefficient of (log Z)².
    seed: dropout's key is (seed, step), and the microbatch's number if there
      are several.
    microbatches: parts of the batch that are computed one after the other. The
      loss is the mean over the tokens of the whole batch, whatever their
      number in each part.
    lora: of the adapter that is trained; None for the network itself.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  weight = _weights(batch).sum()

  def loss(parameters, part: Batch, dropout: Array):
    logits = _logits(network, lora, base, parameters, part, dropout)
    sums = _loss_sums(logits, part)
    mean = likelihood.means(sums._replace(weight=weight))
    return mean.loss + z_loss * mean.squared_log_normalizer, sums

  def gradients(part: Batch, dropout: Array):
    return jax.grad(loss, has_aux=True)(state.parameters, part, dropout)

  found, sums = _over_parts(gradients, batch, key, microbatches)
  updates, optimizer_state = optimizer.update(
    found, state.optimizer_state, state.parameters
  )
  parameters = optax.apply_updates(state.parameters, updates)
  metrics = StepMetrics(likelihood.means(sums).loss, sums.weight)
  return State(state.step + 1, parameters, optimizer_state), metrics


def evaluation_step(
  parameters: Any,
  batch: Batch,
  base: Any = None,
  *,
  network: networks.Network,
  microbatches: int = 1,
  lora: adapters.Lora | None = None,
) -> likelihood.LossSums:
  """Loss sums of one batch, without dropout; arguments as of `train_step`."""

  def sums(part: Batch, key: Array) -> likelihood.LossSums:
    del key
    logits = _logits(network, lora, base, parameters, part, None)
    return _loss_sums(logits, part)

  return _over_parts(sums, batch, jax.random.key(0), microbatches)


def _logits(
  network: networks.Network,
  lora: adapters.Lora | None,
  base: Any,
  parameters: Any,
  batch: Batch,
  dropout: Array | None,
) -> Float[Array, "b t v"]:
  if lora is None:
    return networks.logits(network, parameters, batch, dropout=dropout)
  return adapters.logits(
    network, base, parameters, batch, lora=lora, dropout=dropout
  )


def _over_parts(
  function: Callable[[Batch, Array], Any],
  batch: Batch,
  key: Array,
  count: int,
) -> Any:
  """The sum of `function` (a tree of float32 arrays) over a batch's parts."""
  if count == 1:
    return function(batch, key)

  def add(total: Any, numbered: tuple[Array, Batch]) -> tuple[Any, None]:
    number, part = numbered
    found = function(part, jax.random.fold_in(key, number))
    return jax.tree.map(jnp.add, total, found), None

  parts = jax.tree.map(lambda rows: _divided(jnp.asarray(rows), count), batch)
  shapes = jax.eval_shape(function, jax.tree.map(lambda a: a[0], parts), key)
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  total, _ = jax.lax.scan(add, zeros, (jnp.arange(count), parts))
  return total


def _divided(rows: Array, count: int) -> Array:
  """[b, t] to [count, b / count, t]; each part has rows of every device.

  Part k takes rows k, k + count, …: none has to move to another device.
  """
  parts = rows.reshape(-1, count, *rows.shape[1:]).swapaxes(0, 1)
  return flax_partitioning.with_sharding_constraint(
    parts, (None, "batch", "length")
  )


def _loss_sums(logits: Array, batch: Batch) -> likelihood.LossSums:
  targets = batch["decoder_target_tokens"]
  return likelihood.loss_sums(logits, targets, _weights(batch))


def _weights(batch: Batch) -> Float[Array, "b t"]:
  return jnp.asarray(batch["decoder_loss_weights"], jnp.float32)
