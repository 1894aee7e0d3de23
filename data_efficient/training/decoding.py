# SPDX-License-Identifier: Apache-2.0
"""Scoring and greedy decoding of batches, as pure functions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from data_efficient.kernels import likelihood
from data_efficient.models import encoder_decoder, networks


def scores(
  parameters: networks.Parameters,
  batch: Mapping[str, Any],
  *,
  network: networks.Network,
) -> Float[Array, " b"]:
  """Log-likelihood, nats, of each row's targets.

  Args:
    parameters: of the network.
    batch: features of a seqio converter; a token without loss weight (padding,
      and the inputs of a language model) is not counted.
    network: any.
  """
  logits = networks.logits(network, parameters, batch, dropout=None)
  counted = jnp.asarray(batch["decoder_loss_weights"]) > 0
  return likelihood.sequence_log_likelihoods(
    logits, batch["decoder_target_tokens"], counted
  )


class _State(NamedTuple):
  """Decoding under way."""

  position: Int[Array, ""]
  token: Int[Array, "b 1"]
  ended: Bool[Array, " b"]
  found: Int[Array, "b t"]
  cache: Any


def greedy(
  parameters: networks.Parameters,
  batch: Mapping[str, Any],
  *,
  network: encoder_decoder.T5Config,
  eos_id: int,
) -> Int[Array, "b t"]:
  """The most likely token at each position, given those before it.

  Args:
    parameters: of the network.
    batch: features of a seqio converter; as many tokens are decoded as its
      targets have places.
    network: an encoder–decoder.
    eos_id: ends a row; the places after it are 0.
  """
  module, source = network.module(), jnp.asarray(batch["encoder_input_tokens"])
  rows, length = jnp.shape(batch["decoder_target_tokens"])
  encoded = module.apply({"params": parameters}, source, method="encode")

  def step(tokens: Array, cache: Any) -> tuple[Array, Any]:
    logits, made = module.apply(
      {"params": parameters, **cache},
      encoded,
      source,
      tokens,
      tokens,
      decode=True,
      max_decode_length=length,
      mutable=["cache"],
      method="decode",
    )
    return logits, made

  def advance(state: _State) -> _State:
    logits, cache = step(state.token, state.cache)
    best = jnp.argmax(logits[:, -1], axis=-1).astype(jnp.int32)
    best = jnp.where(state.ended, 0, best)
    found = state.found.at[:, state.position].set(best)
    ended = state.ended | (best == eos_id)
    return _State(state.position + 1, best[:, None], ended, found, cache)

  def unfinished(state: _State) -> Bool[Array, ""]:
    return (state.position < length) & ~state.ended.all()

  nothing = jnp.zeros((rows, length), jnp.int32)
  first = _State(
    position=jnp.zeros((), jnp.int32),
    token=nothing[:, :1],
    ended=jnp.zeros(rows, bool),
    found=nothing,
    # A call without a cache makes one and stores nothing in it.
    cache=step(nothing, {})[1],
  )
  return jax.lax.while_loop(unfinished, advance, first).found
