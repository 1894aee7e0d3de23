# SPDX-License-Identifier: Apache-2.0
"""Several answers in one pass: their log-probabilities after one prompt.

An encoder–decoder reads the prompt once; all answers stand side by side in
one row of the decoder, as packed examples do. A decoder-only model goes on
from what it keeps of the prompt, once for each beginning that answers of
several pieces share; one without such a cache reads the prompt each time.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from data_efficient.kernels import answer
from data_efficient.models import (
  decoder,
  decoder_only,
  encoder_decoder,
  networks,
)

# T5 starts decoding from the padding id.
_START = 0

Pieces = tuple[int, ...]
Tokens = Int[Array, "b s"] | Int[np.ndarray, "b s"]


class Row(NamedTuple):
  """All answers in one row of a decoder; hashable.

  Attributes:
    inputs: the decoder's input tokens.
    segments: which of the packed beginnings a position belongs to, from 1.
    answers: for each answer its pieces and the positions that predict them.
  """

  inputs: Pieces
  segments: Pieces
  answers: tuple[tuple[Pieces, Pieces], ...]


def row(answers: Sequence[Pieces]) -> Row:
  """Packs answers, each at least one piece; equal beginnings stand once."""
  beginnings = _beginnings(answers)
  inputs: list[int] = []
  segments: list[int] = []
  starts = []
  for number, beginning in enumerate(beginnings, 1):
    starts.append(len(inputs))
    inputs += [_START, *beginning]
    segments += [number] * (len(beginning) + 1)
  placed = []
  for pieces in answers:
    found = next(
      start
      for start, beginning in zip(starts, beginnings, strict=True)
      if beginning[: len(pieces) - 1] == pieces[:-1]
    )
    placed.append((tuple(pieces), tuple(range(found, found + len(pieces)))))
  return Row(tuple(inputs), tuple(segments), tuple(placed))


def _beginnings(answers: Sequence[Pieces]) -> list[Pieces]:
  """What precedes an answer's last piece, less what another one begins with."""
  every = sorted({tuple(pieces[:-1]) for pieces in answers})
  return [
    beginning
    for beginning in every
    if not any(
      other != beginning and other[: len(beginning)] == beginning
      for other in every
    )
  ]


@functools.partial(jax.jit, static_argnames=("network", "answers"))
def log_probabilities(
  parameters: networks.Parameters,
  tokens: Tokens,
  *,
  network: networks.Network,
  answers: tuple[Pieces, ...],
) -> Float[Array, "b a"]:
  """Nats, float32, of each answer after each prompt, at most 0.

  Args:
    parameters: of the network.
    tokens: prompts, padded with the judge's `padding`: behind them for an
      encoder–decoder, in front for a decoder-only network.
    network: an encoder–decoder or a decoder-only network.
    answers: pieces of each answer.
  """
  if isinstance(network, decoder.DecoderConfig):
    found = _remembered(parameters, tokens, network, answers)
  elif isinstance(network, decoder_only.DecoderOnlyConfig):
    found = _continued(parameters, tokens, network, answers)
  else:
    found = _decoded(parameters, tokens, network, answers)
  return jnp.stack(found, axis=-1)


def _decoded(
  parameters, tokens, network: encoder_decoder.T5Config, answers
) -> list[Array]:
  module = network.module()
  variables = {"params": parameters}
  encoded = module.apply(variables, tokens, method=module.encode)
  packed = row(answers)

  def spread(values: Pieces) -> Array:
    return jnp.broadcast_to(
      jnp.array(values, jnp.int32), (tokens.shape[0], len(values))
    )

  logits = module.apply(
    variables,
    encoded,
    tokens,
    spread(packed.inputs),
    spread(packed.segments),
    method=module.answer,
  )
  return [
    answer.log_probability(
      logits[:, np.array(positions)], np.array(pieces, np.int32)
    )
    for pieces, positions in packed.answers
  ]


def _continued(
  parameters, tokens, network: decoder_only.DecoderOnlyConfig, answers
) -> list[Array]:
  module = network.module()

  def logits(beginning: Pieces) -> Array:
    known = jnp.broadcast_to(
      jnp.array(beginning, jnp.int32), (tokens.shape[0], len(beginning))
    )
    return module.apply(
      {"params": parameters},
      jnp.concatenate([tokens, known], axis=1),
      len(beginning) + 1,
      method=module.last_logits,
    )

  by_beginning = {
    beginning: logits(beginning)
    for beginning in dict.fromkeys(tuple(pieces[:-1]) for pieces in answers)
  }
  return [
    answer.log_probability(
      by_beginning[tuple(pieces[:-1])], np.array(pieces, np.int32)
    )
    for pieces in answers
  ]


@functools.partial(jax.jit, static_argnames=("network", "answers"))
def beside_the_first(
  parameters: networks.Parameters,
  tokens: Tokens,
  *,
  network: decoder.DecoderConfig,
  answers: tuple[Pieces, ...],
) -> tuple[Float[Array, "b a"], Int[Array, " b"]]:
  """The same as `log_probabilities`, and the token that would be decoded.

  Args:
    parameters: of the network.
    tokens: prompts, padded with −1 in front.
    network: its sizes.
    answers: pieces of each answer.

  Returns:
    nats of each answer, and the most likely first token after each prompt.
  """
  found = _logits(parameters, tokens, network, answers)
  first = next(iter(found.values()))[:, 0]
  nats = jnp.stack(_of_pieces(found, answers), axis=-1)
  return nats, jnp.argmax(first, axis=-1).astype(jnp.int32)


def _remembered(
  parameters, tokens, network: decoder.DecoderConfig, answers
) -> list[Array]:
  return _of_pieces(_logits(parameters, tokens, network, answers), answers)


def _logits(parameters, tokens, network, answers) -> dict[Pieces, Array]:
  """Of each beginning, the logits after the prompt and after each piece."""
  tokens = jnp.asarray(tokens)

  def run(module):
    states, past = module.read(tokens, tokens >= 0)
    first = module.head(states[:, -1:])

    def logits(beginning: Pieces) -> Array:
      if not beginning:
        return first
      known = jnp.array(beginning, jnp.int32)
      known = jnp.broadcast_to(known, (tokens.shape[0], len(beginning)))
      states, _ = module.read(known, jnp.ones(known.shape, bool), past)
      return jnp.concatenate([first, module.head(states)], axis=1)

    beginnings = dict.fromkeys(tuple(pieces[:-1]) for pieces in answers)
    return {beginning: logits(beginning) for beginning in beginnings}

  return network.module().apply({"params": parameters}, method=run)


def _of_pieces(found: dict[Pieces, Array], answers) -> list[Array]:
  return [
    answer.log_probability(
      found[tuple(pieces[:-1])], np.array(pieces, np.int32)
    )
    for pieces in answers
  ]
