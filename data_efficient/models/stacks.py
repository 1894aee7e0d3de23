# SPDX-License-Identifier: Apache-2.0
"""The sizes of a T5 1.1 network, and its two stacks of layers.

Every layer is x + f(norm(x)); the position bias is made once a stack and
shared by its layers. The names are those of T5X's parameter tree.
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float

from data_efficient.models import attention, layers

States = Float[Array, "b s e"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
  """The sizes and numerics of a network.

  Attributes:
    vocab_size: rows of the embedding table and width of the logits.
    emb_dim: width of the residual stream.
    num_heads: attention heads.
    head_dim: size of a head.
    mlp_dim: width inside the feed-forward block.
    num_encoder_layers: encoder layers.
    num_decoder_layers: decoder layers.
    dtype: "float32" or "bfloat16", to which matmul operands are rounded.
    dropout_rate: in [0, 1).
    embedding_init_stddev: of the token embeddings at initialisation. T5X
      uses 1.0; a narrow network learns faster from 0.1.
    relative_attention_num_buckets: buckets of distances.
    relative_attention_max_distance: from here on, one bucket.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  head_dim: int
  mlp_dim: int
  num_encoder_layers: int
  num_decoder_layers: int
  dtype: Any
  dropout_rate: float
  embedding_init_stddev: float
  relative_attention_num_buckets: int = 32
  relative_attention_max_distance: int = 128

  def __post_init__(self):
    """Refuses what cannot be computed; spells `dtype` as a string."""
    name = jnp.dtype(self.dtype).name
    if name not in ("float32", "bfloat16"):
      # float16 overflows in T5's feed-forward layers.
      raise ValueError(
        f"T5Config.dtype = {self.dtype!r}: expected float32 or bfloat16"
      )
    object.__setattr__(self, "dtype", name)
    if not 0.0 <= self.dropout_rate < 1.0:
      raise ValueError(
        f"T5Config.dropout_rate = {self.dropout_rate}: expected [0, 1)"
      )


def _norm(x: Array, name: str) -> Array:
  return layers.RMSNorm(name=name)(x)


def _attention(config: T5Config, name: str) -> attention.Attention:
  return attention.Attention(
    num_heads=config.num_heads,
    head_dim=config.head_dim,
    dtype=config.dtype,
    dropout_rate=config.dropout_rate,
    name=name,
  )


def _feed_forward(config: T5Config) -> layers.GatedFeedForward:
  return layers.GatedFeedForward(
    hidden=config.mlp_dim,
    dtype=config.dtype,
    dropout_rate=config.dropout_rate,
    name="mlp",
  )


def _dropout(x: Array, config: T5Config, deterministic: bool) -> Array:
  return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(
    x, deterministic=deterministic
  )


def _position_bias(
  config: T5Config, *, bidirectional: bool
) -> layers.RelativePositionBias:
  return layers.RelativePositionBias(
    num_heads=config.num_heads,
    num_buckets=config.relative_attention_num_buckets,
    max_distance=config.relative_attention_max_distance,
    bidirectional=bidirectional,
    name="relpos_bias",
  )


class EncoderLayer(nn.Module):
  """Self-attention and feed-forward, each x + f(norm(x))."""

  config: T5Config

  @nn.compact
  def __call__(
    self,
    x: States,
    *,
    mask: Bool[Array, "b 1 s s"],
    bias: Float[Array, "1 h s s"],
    deterministic: bool,
  ) -> States:
    """Applies the layer."""
    config = self.config
    drop = functools.partial(
      _dropout, config=config, deterministic=deterministic
    )
    y = _norm(x, "pre_attention_layer_norm")
    y = _attention(config, "attention")(
      y, y, mask=mask, bias=bias, deterministic=deterministic
    )
    x = x + drop(y)
    y = _norm(x, "pre_mlp_layer_norm")
    return x + drop(_feed_forward(config)(y, deterministic=deterministic))


class DecoderLayer(nn.Module):
  """Self-attention, attention to the encoder, feed-forward."""

  config: T5Config

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    encoded: States,
    *,
    mask: Bool[Array, "b 1 t t"] | None,
    bias: Float[Array, "1 h l l"],
    encoder_mask: Bool[Array, "b 1 t s"],
    deterministic: bool,
    decode: bool,
  ) -> Float[Array, "b t e"]:
    """Applies the layer."""
    config = self.config
    drop = functools.partial(
      _dropout, config=config, deterministic=deterministic
    )
    y = _norm(x, "pre_self_attention_layer_norm")
    y = _attention(config, "self_attention")(
      y, y, mask=mask, bias=bias, deterministic=deterministic, decode=decode
    )
    x = x + drop(y)
    y = _norm(x, "pre_cross_attention_layer_norm")
    y = _attention(config, "encoder_decoder_attention")(
      y, encoded, mask=encoder_mask, deterministic=deterministic
    )
    x = x + drop(y)
    y = _norm(x, "pre_mlp_layer_norm")
    return x + drop(_feed_forward(config)(y, deterministic=deterministic))


class Encoder(nn.Module):
  """The encoder's layers and its final norm."""

  config: T5Config

  @nn.compact
  def __call__(
    self, x: States, *, mask: Bool[Array, "b 1 s s"], deterministic: bool
  ) -> States:
    """Embedded tokens to states."""
    config = self.config
    bias = _position_bias(config, bidirectional=True)(x.shape[1])
    x = _dropout(x, config, deterministic)
    for i in range(config.num_encoder_layers):
      x = EncoderLayer(config, name=f"layers_{i}")(
        x, mask=mask, bias=bias, deterministic=deterministic
      )
    x = _norm(x, "encoder_norm")
    return nn.Dropout(config.dropout_rate)(x, deterministic=deterministic)


class Decoder(nn.Module):
  """The decoder's layers, its final norm and the untied head."""

  config: T5Config

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    encoded: States,
    *,
    mask: Bool[Array, "b 1 t t"] | None,
    encoder_mask: Bool[Array, "b 1 t s"],
    deterministic: bool,
    decode: bool,
    max_decode_length: int | None,
  ) -> Float[Array, "b t v"]:
    """Embedded tokens to logits, float32."""
    config = self.config
    length = (decode and max_decode_length) or x.shape[1]
    bias = _position_bias(config, bidirectional=False)(length)
    x = _dropout(x, config, deterministic)
    for i in range(config.num_decoder_layers):
      x = DecoderLayer(config, name=f"layers_{i}")(
        x,
        encoded,
        mask=mask,
        bias=bias,
        encoder_mask=encoder_mask,
        deterministic=deterministic,
        decode=decode,
      )
    x = _dropout(_norm(x, "decoder_norm"), config, deterministic)
    logits = layers.Dense(
      config.vocab_size,
      axes=("embed", "vocab"),
      dtype="float32",
      name="logits_dense",
    )(x)
    return partitioning.with_sharding_constraint(
      logits, ("batch", "length", "vocab")
    )
