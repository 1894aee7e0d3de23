# SPDX-License-Identifier: Apache-2.0
"""A language model of T5 1.1's decoder layers, with T5X's parameter tree.

The decoder without its attention to an encoder, as in T5X's decoder-only
example. Fed by seqio's `LMFeatureConverter` it is causal; by
`PrefixLMFeatureConverter`, the positions of the inputs see one another.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from data_efficient.models import attention, layers, stacks

Tokens = Int[Array, "b t"] | Int[np.ndarray, "b t"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderOnlyConfig(stacks.Sizes):
  """The sizes and numerics of a decoder-only network: those of `Sizes`."""

  required: ClassVar[tuple[str, ...]] = (
    "decoder_input_tokens",
    "decoder_target_tokens",
  )
  optional: ClassVar[tuple[str, ...]] = (
    "decoder_segment_ids",
    "decoder_positions",
    "decoder_causal_attention",
  )

  def module(self) -> "LanguageModel":
    """The network of these sizes."""
    return LanguageModel(self)


class _Decoder(stacks.Decoder):
  """The decoder's stack with a token embedding of its own."""

  @nn.compact
  def __call__(self, tokens: Tokens, **arguments) -> Float[Array, "b l v"]:
    """Tokens to logits."""
    embed = layers.TokenEmbedder(
      self.config.vocab_size,
      self.config.emb_dim,
      init_stddev=self.config.embedding_init_stddev,
      name="token_embedder",
    )
    return super().__call__(embed(tokens), None, **arguments)


class LanguageModel(nn.Module):
  """Decoder-only, with the calling convention of T5X's; trains and scores."""

  config: DecoderOnlyConfig

  def setup(self):
    """Declares the parameter tree's only part."""
    self.decoder = _Decoder(self.config)

  def __call__(
    self,
    decoder_input_tokens: Tokens,
    decoder_target_tokens: Tokens,
    decoder_segment_ids: Tokens | None = None,
    decoder_positions: Tokens | None = None,
    decoder_causal_attention: Tokens | None = None,
    *,
    enable_dropout: bool = False,
  ) -> Float[Array, "b t v"]:
    """Logits, float32, of every position.

    Args:
      decoder_input_tokens: the targets shifted right, 0 first.
      decoder_target_tokens: for the padding mask.
      decoder_segment_ids: which packed example a position belongs to.
      decoder_positions: ignored: positions are relative.
      decoder_causal_attention: 1 at the positions (the inputs) that see one
        another in both directions.
      enable_dropout: needs an rng named "dropout".
    """
    del decoder_positions
    target = jnp.asarray(decoder_target_tokens) > 0
    mask = attention.causal_mask(target.shape[1])
    if decoder_causal_attention is not None:
      inputs = jnp.asarray(decoder_causal_attention) > 0
      mask = mask | attention.padding_mask(inputs, inputs)
    mask &= attention.padding_mask(target, target)
    if decoder_segment_ids is not None:
      mask &= attention.segment_mask(decoder_segment_ids, decoder_segment_ids)
    return self.decoder(
      decoder_input_tokens,
      mask=mask,
      encoder_mask=None,
      deterministic=not enable_dropout,
      decode=False,
      max_decode_length=None,
    )

  def last_logits(self, tokens: Tokens, count: int) -> Float[Array, "b l v"]:
    """Logits of the `count` last positions: of what follows each text.

    Args:
      tokens: texts that end with the row, padded with 0 in front.
      count: the last logits are those of the token after the text, the ones
        before them those of its last tokens.
    """
    inputs = jnp.pad(jnp.asarray(tokens), ((0, 0), (1, 0)))
    # The start, id 0 like padding, is the position before the first token.
    target = jnp.pad(inputs[:, 1:], ((0, 0), (0, 1)), constant_values=1) > 0
    mask = attention.causal_mask(inputs.shape[1])
    return self.decoder(
      inputs,
      mask=mask & attention.padding_mask(target, target),
      encoder_mask=None,
      deterministic=True,
      decode=False,
      max_decode_length=None,
      last=count,
    )
