# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding by decoder-only networks with a cache of fixed size.

A batch of prompts is read once; then each step reads one token a row, and its
keys and values take the next free place. Shapes never change, so that one
program serves all batches of a shape, and it ends when all rows have ended.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from data_efficient.models import decoder, decoder_cache, networks

# What stands in a row after its end.
NOTHING = -1

Tokens = Int[Array, "b s"] | Int[np.ndarray, "b s"]


class Prompts(NamedTuple):
  """What is to be continued.

  Attributes:
    tokens: ids; padding, wherever it stands, has any id.
    valid: which of them are tokens; a row without one is left empty.
  """

  tokens: Tokens
  valid: Bool[Array, "b s"] | Bool[np.ndarray, "b s"]


class Decoded(NamedTuple):
  """What was found.

  Attributes:
    tokens: int32; the end is one of them, −1 after it.
    steps: after so many all rows had ended, or there was no more room.
  """

  tokens: Int[Array, "b t"]
  steps: Int[Array, ""]


class _State(NamedTuple):
  """Decoding under way."""

  step: Int[Array, ""]
  token: Int[Array, " b"]
  ended: Bool[Array, " b"]
  found: Int[Array, "b t"]
  cache: decoder_cache.Cache


@functools.partial(jax.jit, static_argnames=("network", "length"))
def greedy(
  parameters: networks.Parameters,
  prompts: Prompts,
  *,
  network: decoder.DecoderConfig,
  length: int,
  eos_ids: Int[Array, " e"] | Int[np.ndarray, " e"],
) -> Decoded:
  """The most likely token at each step, given the prompt and those before it.

  Args:
    parameters: of the network.
    prompts: of any lengths, padded to one.
    network: its sizes.
    length: tokens that are decoded at most, from 1.
    eos_ids: each of them ends a row.
  """
  module, variables = network.module(), {"params": parameters}
  tokens, valid = map(jnp.asarray, prompts)
  rows, places = tokens.shape

  def best(states: Array, ended: Array) -> tuple[Array, Array]:
    """Tokens [b] by states [b, 1, e], and which rows have ended."""
    logits = module.apply(variables, states, method=module.head)[:, 0]
    found = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    found = jnp.where(ended, NOTHING, found)
    return found, ended | jnp.isin(found, eos_ids)

  def begun() -> _State:
    states, cache = module.apply(variables, tokens, valid, method=module.read)
    last = jnp.where(valid, jnp.arange(places), 0).max(axis=1)
    states = jnp.take_along_axis(states, last[:, None, None], axis=1)
    token, ended = best(states, ~valid.any(axis=1))
    found = jnp.full((rows, length), NOTHING, jnp.int32).at[:, 0].set(token)
    # The last token is read by nobody.
    cache = decoder_cache.with_room(cache, length - 1, dtype=network.dtype)
    return _State(jnp.ones((), jnp.int32), token, ended, found, cache)

  def advance(state: _State) -> _State:
    states, cache = module.apply(
      variables,
      state.token[:, None],
      ~state.ended[:, None],
      state.cache,
      places + state.step - 1,
      method=module.extend,
    )
    token, ended = best(states, state.ended)
    found = jax.lax.dynamic_update_slice_in_dim(
      state.found, token[:, None], state.step, axis=1
    )
    return _State(state.step + 1, token, ended, found, cache)

  def unfinished(state: _State) -> Bool[Array, ""]:
    return (state.step < length) & ~state.ended.all()

  end = jax.lax.while_loop(unfinished, advance, begun())
  return Decoded(end.found, end.step)


def prompts_of(batch: Mapping[str, Any]) -> Prompts:
  """What stands before the first token that counts, of a converter's batch.

  Args:
    batch: "decoder_input_tokens" (the row shifted right; below 0 is padding)
      and "decoder_loss_weights" of a seqio converter. A row without a weight
      has no prompt.
  """
  tokens = jnp.asarray(batch["decoder_input_tokens"])
  counted = jnp.asarray(batch["decoder_loss_weights"]) > 0
  first = jnp.argmax(counted, axis=1)[:, None]
  before = jnp.arange(tokens.shape[1]) <= first
  valid = before & counted.any(axis=1)[:, None] & (tokens >= 0)
  return Prompts(tokens, valid)
