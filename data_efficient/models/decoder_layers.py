# SPDX-License-Identifier: Apache-2.0
"""The layers of the decoder-only families: norm, attention, feed-forward.

Llama, Mistral, Qwen and Gemma differ in what `decoder.DecoderConfig` says.
Parameters are float32 with logical axes; matmul operands are rounded to the
config's dtype, everything else is float32.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import grouped_attention, layers, rotary
from data_efficient.models.grouped_attention import KeysValues, Places

ACTIVATIONS = {
  "silu": jax.nn.silu,
  "gelu": lambda x: jax.nn.gelu(x, approximate=False),
  "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
}

States = Float[Array, "b t e"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerKind:
  """What may differ from layer to layer.

  Attributes:
    rotary: of its positions.
    window: positions that a query sees, itself included; None for all.
  """

  rotary: rotary.Rotary
  window: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSizes:
  """The sizes and habits of all layers.

  Attributes:
    emb_dim: width of the residual stream.
    num_heads: of queries.
    num_kv_heads: of keys and values, a divisor of `num_heads`.
    head_dim: size of a head, even.
    mlp_dim: width inside the feed-forward block.
    dtype: "float32" or "bfloat16", of the products' operands.
    activation: a name of `ACTIVATIONS`.
    norm_epsilon: added to the mean square.
    norm_offset: added to the norms' stored scales: 1.0 in Gemma, else 0.0.
    query_scale: what queries are multiplied with.
    qkv_bias: whether queries, keys and values have biases.
    out_bias: whether the attention's result has one.
    mlp_bias: whether the feed-forward block has.
    head_norms: whether each head's query and key is normalised.
    post_norms: whether what a block adds is normalised once more.
    logit_cap: c of c · tanh(logit / c), of attention; None for none.
  """

  emb_dim: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  mlp_dim: int
  dtype: str
  activation: str
  norm_epsilon: float
  norm_offset: float
  query_scale: float
  qkv_bias: bool
  out_bias: bool
  mlp_bias: bool
  head_norms: bool
  post_norms: bool
  logit_cap: float | None


class Norm(nn.Module):
  """x / √(mean(x²) + ε) · (scale + offset), over the last axis."""

  sizes: LayerSizes
  axis: str = "embed"

  @nn.compact
  def __call__(self, x: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    """Normalises."""
    offset = self.sizes.norm_offset
    scale = partitioning.param_with_axes(
      "scale",
      nn.initializers.constant(1.0 - offset),
      (x.shape[-1],),
      jnp.float32,
      axes=(self.axis,),
    )
    power = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(power + self.sizes.norm_epsilon) * (scale + offset)


class Attention(nn.Module):
  """Attention to earlier positions; heads of queries share keys and values."""

  sizes: LayerSizes
  kind: LayerKind

  @nn.compact
  def __call__(
    self,
    x: States,
    positions: Int[Array, "b t"],
    mask: Bool[Array, "b 1 t s"],
    past: KeysValues | Places | None,
  ) -> tuple[States, KeysValues]:
    """What is added to the stream, and the keys and values of `x` itself.

    Args:
      x: the new tokens.
      positions: theirs.
      mask: true where a new token sees a key; those of `past` come first.
      past: keys and values of earlier tokens; each row's may serve several
        neighbouring rows of `x`. Where they are places, new ones are written
        among them, and all are returned.
    """
    sizes = self.sizes
    query = self._heads("query", x, sizes.num_heads)
    key = self._heads("key", x, sizes.num_kv_heads)
    value = self._heads("value", x, sizes.num_kv_heads)
    if sizes.head_norms:
      query = Norm(sizes, "kv", name="query_norm")(query)
      key = Norm(sizes, "kv", name="key_norm")(key)
    query = self.kind.rotary.turn(query, positions) * sizes.query_scale
    new = KeysValues(self.kind.rotary.turn(key, positions), value)
    if isinstance(past, Places):
      new, past = grouped_attention.written(past, new), None
    mixed = grouped_attention.attend(
      query,
      new,
      past,
      mask=mask,
      dtype=sizes.dtype,
      cap=sizes.logit_cap,
    )
    out = layers.Dense(
      x.shape[-1],
      axes=("joined_kv", "embed"),
      dtype=sizes.dtype,
      bias=sizes.out_bias,
      name="out",
    )(mixed)
    return out, new

  @nn.nowrap
  def _heads(self, name: str, x: States, heads: int) -> Array:
    sizes = self.sizes
    states = layers.Dense(
      heads * sizes.head_dim,
      axes=("embed", "joined_kv"),
      dtype=sizes.dtype,
      bias=sizes.qkv_bias,
      name=name,
    )(x)
    return partitioning.with_sharding_constraint(
      states.reshape(*x.shape[:2], heads, sizes.head_dim),
      ("batch", "length", "heads", "kv"),
    )


class FeedForward(nn.Module):
  """down · (activation(gate · x) ⊙ (up · x))."""

  sizes: LayerSizes

  @nn.compact
  def __call__(self, x: States) -> States:
    """Applies the block to every position."""
    sizes = self.sizes

    def dense(features: int, axes: tuple[str, str], name: str) -> layers.Dense:
      return layers.Dense(
        features, axes=axes, dtype=sizes.dtype, bias=sizes.mlp_bias, name=name
      )

    inner = ("embed", "mlp")
    gate = dense(sizes.mlp_dim, inner, "gate")(x)
    hidden = ACTIVATIONS[sizes.activation](gate)
    hidden = hidden * dense(sizes.mlp_dim, inner, "up")(x)
    hidden = partitioning.with_sharding_constraint(
      hidden, ("batch", "length", "mlp")
    )
    return dense(x.shape[-1], ("mlp", "embed"), "down")(hidden)


class DecoderLayer(nn.Module):
  """Attention and feed-forward, each x + f(norm(x))."""

  sizes: LayerSizes
  kind: LayerKind

  @nn.compact
  def __call__(
    self,
    x: States,
    positions: Int[Array, "b t"],
    mask: Bool[Array, "b 1 t s"],
    past: KeysValues | Places | None,
  ) -> tuple[States, KeysValues]:
    """The new stream, and the layer's keys and values of the new tokens."""
    sizes = self.sizes

    def post(y: States, name: str) -> States:
      return Norm(sizes, name=name)(y) if sizes.post_norms else y

    y = Norm(sizes, name="pre_attention_norm")(x)
    y, new = Attention(sizes, self.kind, name="attention")(
      y, positions, mask, past
    )
    x = x + post(y, "post_attention_norm")
    y = Norm(sizes, name="pre_mlp_norm")(x)
    y = FeedForward(sizes, name="mlp")(y)
    return x + post(y, "post_mlp_norm"), new
