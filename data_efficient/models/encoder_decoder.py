# SPDX-License-Identifier: Apache-2.0
"""The T5 1.1 encoder–decoder, with the parameter tree of T5X.

One module for every engine: `t5x.models.EncoderDecoderModel` can hold it, and
checkpoints of T5X's own network fit it name by name. Token 0 is padding and
the decoder's start. Source: Raffel et al. (arXiv 1910.10683); the 1.1 changes
(gated GELU, untied head) as in Flan-T5 (arXiv 2210.11416).
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import attention, layers, stacks
from data_efficient.models.networks import (
  Parameters,
  init_parameters,
  parameter_axes,
  parameter_count,
  parameter_shapes,
)

__all__ = (
  "Parameters",
  "T5Config",
  "Transformer",
  "init_parameters",
  "mean_pool",
  "parameter_axes",
  "parameter_count",
  "parameter_shapes",
)

Source = Int[Array, "b s"] | Int[np.ndarray, "b s"]
Tokens = Int[Array, "b t"] | Int[np.ndarray, "b t"]
States = Float[Array, "b s e"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config(stacks.Sizes):
  """The sizes and numerics of a T5 1.1.

  Attributes:
    num_encoder_layers: encoder layers; the others are those of `Sizes`.
  """

  num_encoder_layers: int

  required: ClassVar[tuple[str, ...]] = (
    "encoder_input_tokens",
    "decoder_input_tokens",
    "decoder_target_tokens",
  )
  optional: ClassVar[tuple[str, ...]] = (
    "encoder_segment_ids",
    "decoder_segment_ids",
    "encoder_positions",
    "decoder_positions",
  )

  def module(self) -> "Transformer":
    """The network of these sizes."""
    return Transformer(self)


class Transformer(nn.Module):
  """T5 1.1, with the calling convention of T5X's networks."""

  config: T5Config

  def setup(self):
    """Declares the three parts of the parameter tree."""
    self.token_embedder = layers.TokenEmbedder(
      self.config.vocab_size,
      self.config.emb_dim,
      init_stddev=self.config.embedding_init_stddev,
    )
    self.encoder = stacks.Encoder(self.config, self.config.num_encoder_layers)
    self.decoder = stacks.Decoder(self.config)

  def encode(
    self,
    encoder_input_tokens: Source,
    encoder_segment_ids: Source | None = None,
    enable_dropout: bool = False,
  ) -> States:
    """Encoder states of every position, padding included."""
    tokens = jnp.asarray(encoder_input_tokens)
    mask = attention.padding_mask(tokens > 0, tokens > 0)
    if encoder_segment_ids is not None:
      mask &= attention.segment_mask(encoder_segment_ids, encoder_segment_ids)
    return self.encoder(
      self.token_embedder(tokens), mask=mask, deterministic=not enable_dropout
    )

  def embed(self, encoder_input_tokens: Source) -> Float[Array, "b e"]:
    """One vector a text: the mean of its tokens' encoder states."""
    tokens = jnp.asarray(encoder_input_tokens)
    return mean_pool(self.encode(tokens), tokens > 0)

  def decode(
    self,
    encoded: States,
    encoder_input_tokens: Source,
    decoder_input_tokens: Tokens,
    decoder_target_tokens: Tokens,
    encoder_segment_ids: Source | None = None,
    decoder_segment_ids: Tokens | None = None,
    decoder_positions: Tokens | None = None,
    enable_dropout: bool = False,
    decode: bool = False,
    max_decode_length: int | None = None,
  ) -> Float[Array, "b t v"]:
    """Logits of every target position given the encoder's states.

    Args:
      encoded: what `encode` returned.
      encoder_input_tokens: for the padding mask.
      decoder_input_tokens: the targets shifted right, 0 first.
      decoder_target_tokens: for the padding mask; ignored with `decode`.
      encoder_segment_ids: which packed example a position belongs to.
      decoder_segment_ids: likewise.
      decoder_positions: ignored: positions are relative.
      enable_dropout: needs an rng named "dropout".
      decode: one token a call, with the collection "cache" mutable. A first
        call without a cache makes one for as many steps as it is given.
      max_decode_length: with `decode`, the number of steps of the cache.

    Raises:
      ValueError: packed examples with `decode`.
    """
    del decoder_positions
    source = jnp.asarray(encoder_input_tokens) > 0
    target = jnp.asarray(decoder_target_tokens) > 0
    if decode:
      if encoder_segment_ids is not None or decoder_segment_ids is not None:
        raise ValueError("packed examples cannot be decoded step by step")
      target, mask = jnp.ones_like(target), None
    else:
      mask = attention.causal_mask(target.shape[1])
      mask &= attention.padding_mask(target, target)
    encoder_mask = attention.padding_mask(target, source)
    if decoder_segment_ids is not None:
      mask &= attention.segment_mask(decoder_segment_ids, decoder_segment_ids)
    if encoder_segment_ids is not None:
      encoder_mask &= attention.segment_mask(
        decoder_segment_ids, encoder_segment_ids
      )
    return self.decoder(
      self.token_embedder(decoder_input_tokens),
      encoded,
      mask=mask,
      encoder_mask=encoder_mask,
      deterministic=not enable_dropout,
      decode=decode,
      max_decode_length=max_decode_length,
    )

  def answer(
    self,
    encoded: States,
    encoder_input_tokens: Source,
    decoder_input_tokens: Tokens,
    decoder_segment_ids: Tokens,
  ) -> Float[Array, "b t v"]:
    """Logits of a few target positions, all of them tokens, and packed.

    What `decode` gives, with attention to the encoder that costs t and not s
    projections: for t below the size of a head.
    """
    segments = jnp.asarray(decoder_segment_ids)
    source = jnp.asarray(encoder_input_tokens) > 0
    mask = attention.causal_mask(segments.shape[1])
    return self.decoder(
      self.token_embedder(decoder_input_tokens),
      encoded,
      mask=mask & attention.segment_mask(segments, segments),
      encoder_mask=attention.padding_mask(segments > 0, source),
      deterministic=True,
      decode=False,
      max_decode_length=None,
      fold=True,
    )

  def __call__(
    self,
    encoder_input_tokens: Source,
    decoder_input_tokens: Tokens,
    decoder_target_tokens: Tokens,
    encoder_segment_ids: Source | None = None,
    decoder_segment_ids: Tokens | None = None,
    encoder_positions: Source | None = None,
    decoder_positions: Tokens | None = None,
    *,
    enable_dropout: bool = False,
    decode: bool = False,
    max_decode_length: int | None = None,
  ) -> Float[Array, "b t v"]:
    """Logits, float32, of every target position; see `decode`."""
    del encoder_positions
    encoded = self.encode(
      encoder_input_tokens, encoder_segment_ids, enable_dropout
    )
    return self.decode(
      encoded,
      encoder_input_tokens,
      decoder_input_tokens,
      decoder_target_tokens,
      encoder_segment_ids=encoder_segment_ids,
      decoder_segment_ids=decoder_segment_ids,
      decoder_positions=decoder_positions,
      enable_dropout=enable_dropout,
      decode=decode,
      max_decode_length=max_decode_length,
    )


def mean_pool(
  states: States, mask: Bool[Array, "b s"] | Bool[np.ndarray, "b s"]
) -> Float[Array, "b e"]:
  """Mean over the unmasked positions, float32; 0 where there are none."""
  mask = jnp.asarray(mask)[..., None]
  total = jnp.where(mask, states.astype(jnp.float32), 0.0).sum(axis=1)
  return total / jnp.maximum(mask.sum(axis=1), 1).astype(jnp.float32)
