# SPDX-License-Identifier: Apache-2.0
"""The sizes of T5 1.1's stacks of layers, and the two stacks.

Every layer is x + f(norm(x)); the position bias is made once a stack and
shared by its layers. The names are those of T5X's parameter tree.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float

from data_efficient.models import attention, layers, relative_positions

States = Float[Array, "b s e"]


# What a backward pass finds of a layer's activations (the others it computes
# again): all, none but the layer's input, or the products with weights.
REMAT = {
  "none": jax.checkpoint_policies.everything_saveable,
  "full": jax.checkpoint_policies.nothing_saveable,
  "minimal": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
  """The sizes and numerics that every network of these layers has.

  Attributes:
    vocab_size: rows of the embedding table and width of the logits.
    emb_dim: width of the residual stream.
    num_heads: attention heads.
    head_dim: size of a head.
    mlp_dim: width inside the feed-forward block.
    num_decoder_layers: decoder layers.
    dtype: "float32" or "bfloat16", to which matmul operands are rounded.
    dropout_rate: in [0, 1).
    embedding_init_stddev: of the token embeddings at initialisation. T5X
      uses 1.0; a narrow network learns faster from 0.1.
    relative_attention_num_buckets: buckets of distances.
    relative_attention_max_distance: from here on, one bucket.
    remat: which activations of a layer the backward pass computes again
      instead of keeping them: "none", "minimal" (all but the products with
      weights) or "full" (all). Costs time, saves memory, same mathematics.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  head_dim: int
  mlp_dim: int
  num_decoder_layers: int
  dtype: Any
  dropout_rate: float
  embedding_init_stddev: float
  relative_attention_num_buckets: int = 32
  relative_attention_max_distance: int = 128
  remat: str = "none"

  def __post_init__(self):
    """Refuses what cannot be computed; spells `dtype` as a string."""
    kind, name = type(self).__name__, jnp.dtype(self.dtype).name
    if name not in ("float32", "bfloat16"):
      # float16 overflows in T5's feed-forward layers.
      raise ValueError(
        f"{kind}.dtype = {self.dtype!r}: expected float32 or bfloat16"
      )
    object.__setattr__(self, "dtype", name)
    if not 0.0 <= self.dropout_rate < 1.0:
      raise ValueError(
        f"{kind}.dropout_rate = {self.dropout_rate}: expected [0, 1)"
      )
    if self.remat not in REMAT:
      raise ValueError(
        f"{kind}.remat = {self.remat!r}: expected one of {sorted(REMAT)}"
      )


def _norm(x: Array, name: str) -> Array:
  return layers.RMSNorm(name=name)(x)


def _attention(config: Sizes, name: str) -> attention.Attention:
  return attention.Attention(
    num_heads=config.num_heads,
    head_dim=config.head_dim,
    dtype=config.dtype,
    dropout_rate=config.dropout_rate,
    name=name,
  )


def _feed_forward(config: Sizes) -> layers.GatedFeedForward:
  return layers.GatedFeedForward(
    hidden=config.mlp_dim,
    dtype=config.dtype,
    dropout_rate=config.dropout_rate,
    name="mlp",
  )


def _dropout(x: Array, config: Sizes, deterministic: bool) -> Array:
  return nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))(
    x, deterministic=deterministic
  )


def _position_bias(
  config: Sizes, *, bidirectional: bool
) -> relative_positions.RelativePositionBias:
  return relative_positions.RelativePositionBias(
    num_heads=config.num_heads,
    num_buckets=config.relative_attention_num_buckets,
    max_distance=config.relative_attention_max_distance,
    bidirectional=bidirectional,
    name="relpos_bias",
  )


def rematerialized(kept: str, call: Callable[..., Any]) -> Callable[..., Any]:
  """`call(layer, *arrays)`, its activations kept as a name of `REMAT` says."""
  if kept == "none":
    return call
  return nn.remat(call, policy=REMAT[kept])


class EncoderLayer(nn.Module):
  """Self-attention and feed-forward, each x + f(norm(x)).

  `feed_forward` makes the latter's module.
  """

  config: Sizes
  feed_forward: Callable[[Sizes], nn.Module] = _feed_forward

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
    y = self.feed_forward(config)(y, deterministic=deterministic)
    return x + drop(y)


class DecoderLayer(nn.Module):
  """Self-attention, attention to the encoder if there is one, feed-forward."""

  config: Sizes

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    encoded: States | None,
    *,
    mask: Bool[Array, "b 1 t t"] | None,
    bias: Float[Array, "1 h l l"],
    encoder_mask: Bool[Array, "b 1 t s"] | None,
    deterministic: bool,
    decode: bool,
    fold: bool = False,
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
    if encoded is not None:
      y = _norm(x, "pre_cross_attention_layer_norm")
      y = _attention(config, "encoder_decoder_attention")(
        y,
        encoded,
        mask=encoder_mask,
        deterministic=deterministic,
        fold=fold,
      )
      x = x + drop(y)
    y = _norm(x, "pre_mlp_layer_norm")
    return x + drop(_feed_forward(config)(y, deterministic=deterministic))


class Encoder(nn.Module):
  """The encoder's layers, so many, and its final norm."""

  config: Sizes
  num_layers: int
  feed_forward: Callable[[Sizes], nn.Module] = _feed_forward

  @nn.compact
  def __call__(
    self, x: States, *, mask: Bool[Array, "b 1 s s"], deterministic: bool
  ) -> States:
    """Embedded tokens to states."""
    config = self.config
    bias = _position_bias(config, bidirectional=True)(x.shape[1])
    x = _dropout(x, config, deterministic)

    def call(layer, x, mask, bias) -> Array:
      return layer(x, mask=mask, bias=bias, deterministic=deterministic)

    apply = rematerialized(config.remat, call)
    for i in range(self.num_layers):
      layer = EncoderLayer(config, self.feed_forward, name=f"layers_{i}")
      x = apply(layer, x, mask, bias)
    x = _norm(x, "encoder_norm")
    return nn.Dropout(config.dropout_rate)(x, deterministic=deterministic)


class Decoder(nn.Module):
  """The decoder's layers, its final norm and the untied head."""

  config: Sizes

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    encoded: States | None,
    *,
    mask: Bool[Array, "b 1 t t"] | None,
    encoder_mask: Bool[Array, "b 1 t s"] | None,
    deterministic: bool,
    decode: bool,
    max_decode_length: int | None,
    fold: bool = False,
    last: int | None = None,
  ) -> Float[Array, "b l v"]:
    """Embedded tokens to logits, float32; `encoded` None: no encoder.

    `fold` is that of `Attention`, for the attention to the encoder; `last`
    leaves out the logits of all but so many positions at the end.
    """
    config = self.config
    length = (decode and max_decode_length) or x.shape[1]
    bias = _position_bias(config, bidirectional=False)(length)
    x = _dropout(x, config, deterministic)

    def call(layer, x, encoded, mask, encoder_mask, bias) -> Array:
      return layer(
        x,
        encoded,
        mask=mask,
        bias=bias,
        encoder_mask=encoder_mask,
        deterministic=deterministic,
        decode=decode,
        fold=fold,
      )

    apply = call if decode else rematerialized(config.remat, call)
    for i in range(config.num_decoder_layers):
      layer = DecoderLayer(config, name=f"layers_{i}")
      x = apply(layer, x, encoded, mask, encoder_mask, bias)
    x = x if last is None else x[:, -last:]
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
