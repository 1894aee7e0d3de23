# SPDX-License-Identifier: Apache-2.0
"""Sentence-T5: a T5 encoder, the mean of its states, a projection, unit norm.

Ni et al. (arXiv 2108.08877); the base size is what the paper of Ask-LLM and
Density embeds with (arXiv 2402.09668, Appendix B.2). The published networks
have the first T5's feed-forward block; T5 1.1's is read as well.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Float

from data_efficient.models import attention, encoder, layers, stacks


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceT5Config(stacks.Sizes):
  """The sizes and numerics of a Sentence-T5; the others are those of `Sizes`.

  Attributes:
    num_encoder_layers: encoder layers; there is no decoder.
    gated: whether the feed-forward block is T5 1.1's, else the first T5's.
    projected_dim: width of the vectors.
    pooling: "mean" over the tokens, end of sequence included.
    normalise: whether vectors have unit norm.
  """

  num_encoder_layers: int
  gated: bool
  projected_dim: int
  pooling: str
  normalise: bool
  num_decoder_layers: int = 0

  required: ClassVar[tuple[str, ...]] = ("encoder_input_tokens",)
  optional: ClassVar[tuple[str, ...]] = ()

  def __post_init__(self):
    """Refuses what cannot be computed; spells `dtype` as a string."""
    super().__post_init__()
    encoder.check_embedder(self)

  def module(self) -> "SentenceT5":
    """The network of these sizes."""
    return SentenceT5(self)


class FeedForward(nn.Module):
  """The first T5's: wo · relu(wi · x)     (arXiv 1910.10683, Sec. 2.1)."""

  config: stacks.Sizes

  @nn.compact
  def __call__(
    self, x: Float[Array, "b t e"], *, deterministic: bool
  ) -> Float[Array, "b t e"]:
    """Applies the block to every position."""
    config = self.config
    hidden = layers.Dense(
      config.mlp_dim, axes=("embed", "mlp"), dtype=config.dtype, name="wi"
    )(x)
    hidden = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(
      nn.relu(hidden), deterministic=deterministic
    )
    hidden = partitioning.with_sharding_constraint(
      hidden, ("batch", "length", "mlp")
    )
    return layers.Dense(
      x.shape[-1], axes=("mlp", "embed"), dtype=config.dtype, name="wo"
    )(hidden)


def _feed_forward(config: stacks.Sizes) -> FeedForward:
  return FeedForward(config, name="mlp")


class SentenceT5(nn.Module):
  """The network, with one vector a text as its result."""

  config: SentenceT5Config

  @nn.compact
  def __call__(
    self, encoder_input_tokens: encoder.Tokens, *, enable_dropout: bool = False
  ) -> encoder.Vectors:
    """Vectors, float32, of texts padded with 0 on the right."""
    config, tokens = self.config, jnp.asarray(encoder_input_tokens)
    mask = tokens > 0
    x = layers.TokenEmbedder(
      config.vocab_size,
      config.emb_dim,
      init_stddev=config.embedding_init_stddev,
      name="token_embedder",
    )(tokens)
    blocks = {} if config.gated else {"feed_forward": _feed_forward}
    x = stacks.Encoder(
      config, config.num_encoder_layers, **blocks, name="encoder"
    )(
      x,
      mask=attention.padding_mask(mask, mask),
      deterministic=not enable_dropout,
    )
    vectors = encoder.pool(x, mask, config.pooling)
    vectors = layers.Dense(
      config.projected_dim,
      axes=("embed", "kv"),
      dtype=config.dtype,
      name="projection",
    )(vectors[:, None])[:, 0]
    return encoder.at_unit_norm(vectors) if config.normalise else vectors

  def embed(self, encoder_input_tokens: encoder.Tokens) -> encoder.Vectors:
    """The same as a call."""
    return self(encoder_input_tokens)
