# SPDX-License-Identifier: Apache-2.0
"""Text to one vector: the BERT family (BERT, MiniLM, BGE, E5).

Devlin et al. (arXiv 1810.04805): every layer is norm(x + f(x)), positions are
absolute, projections have biases. Token 0 is padding; a text is one segment.
A vector is the mean of the tokens' states or the first token's, at unit norm
where the checkpoint says so (Reimers & Gurevych, arXiv 1908.10084).
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import dot_product, encoder_decoder, layers

Tokens = Int[Array, "b s"] | Int[np.ndarray, "b s"]
States = Float[Array, "b s e"]
Vectors = Float[Array, "b e"]

# By the names of config.json.
ACTIVATIONS = {
  "gelu": functools.partial(nn.gelu, approximate=False),
  "gelu_new": functools.partial(nn.gelu, approximate=True),
  "gelu_pytorch_tanh": functools.partial(nn.gelu, approximate=True),
  "relu": nn.relu,
}
POOLINGS = ("mean", "cls")

_JOINED = ("embed", "joined_kv")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
  """The sizes and numerics of a network of the BERT family.

  Attributes:
    vocab_size: rows of the embedding table.
    emb_dim: width of the states, and of the vectors.
    num_heads: attention heads; they share the width.
    mlp_dim: width inside the feed-forward block.
    num_encoder_layers: layers.
    max_positions: tokens of the longest text, what marks its ends included.
    token_types: rows of the table of segments.
    activation: of the feed-forward block, a name of `ACTIVATIONS`.
    norm_epsilon: of the layer norms.
    pooling: "mean" over the tokens, or "cls", the first one.
    normalise: whether vectors have unit norm.
    dtype: "float32" or "bfloat16", to which matmul operands are rounded.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  mlp_dim: int
  num_encoder_layers: int
  max_positions: int
  token_types: int
  activation: str
  norm_epsilon: float
  pooling: str
  normalise: bool
  dtype: Any

  dropout_rate: ClassVar[float] = 0.0
  required: ClassVar[tuple[str, ...]] = ("encoder_input_tokens",)
  optional: ClassVar[tuple[str, ...]] = ()

  def __post_init__(self):
    """Refuses what cannot be computed; spells `dtype` as a string."""
    check_embedder(self)
    if self.emb_dim % self.num_heads:
      raise ValueError(
        f"BertConfig: {self.num_heads} heads do not share a width of"
        f" {self.emb_dim}"
      )
    if self.activation not in ACTIVATIONS:
      raise ValueError(
        f"BertConfig.activation = {self.activation!r}: expected one of"
        f" {sorted(ACTIVATIONS)}"
      )

  def module(self) -> "Bert":
    """The network of these sizes."""
    return Bert(self)


def check_embedder(config: Any) -> None:
  """Spells `dtype` as a string; refuses others, and an unknown pooling."""
  kind, name = type(config).__name__, jnp.dtype(config.dtype).name
  if name not in ("float32", "bfloat16"):
    raise ValueError(
      f"{kind}.dtype = {config.dtype!r}: expected float32 or bfloat16"
    )
  object.__setattr__(config, "dtype", name)
  if config.pooling not in POOLINGS:
    raise ValueError(
      f"{kind}.pooling = {config.pooling!r}: expected one of {POOLINGS}"
    )


def pool(states: States, mask: Bool[Array, "b s"], pooling: str) -> Vectors:
  """One vector a text, float32: "mean" over its tokens, or the first ("cls").

  A text without a token has the zero vector, or that of its first position.
  """
  if pooling == "cls":
    return states[:, 0]
  return encoder_decoder.mean_pool(states, mask)


def at_unit_norm(vectors: Vectors) -> Vectors:
  """Each vector over its L2 norm; the zero vector stays."""
  norms = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / jnp.where(norms > 0, norms, 1.0)


class LayerNorm(nn.Module):
  """(x − mean) / √(variance + ε) · scale + bias, over the last axis.

  Attributes:
    epsilon: ε.
  """

  epsilon: float

  @nn.compact
  def __call__(self, x: States) -> States:
    """Normalises in float32."""
    scale, bias = (
      partitioning.param_with_axes(
        name, init, (x.shape[-1],), jnp.float32, axes=("embed",)
      )
      for name, init in (
        ("scale", nn.initializers.ones),
        ("bias", nn.initializers.zeros),
      )
    )
    mean = x.mean(axis=-1, keepdims=True)
    variance = jnp.square(x - mean).mean(axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + self.epsilon) * scale + bias


class Affine(nn.Module):
  """A projection of the last axis, with a bias.

  Attributes:
    features: width of the result.
    axes: logical names of the kernel's two axes.
    dtype: type of the matmul's operands.
  """

  features: int
  axes: tuple[str, str]
  dtype: str

  @nn.compact
  def __call__(self, x: Float[Array, "b s i"]) -> Float[Array, "b s o"]:
    """Projects; the result is float32."""
    kernel = partitioning.param_with_axes(
      "kernel",
      nn.initializers.normal(0.02),
      (x.shape[-1], self.features),
      jnp.float32,
      axes=self.axes,
    )
    bias = partitioning.param_with_axes(
      "bias",
      nn.initializers.zeros,
      (self.features,),
      jnp.float32,
      axes=self.axes[1:],
    )
    return layers.einsum("bti,io->bto", x, kernel, dtype=self.dtype) + bias


class SelfAttention(nn.Module):
  """Multi-head attention of a text to itself, its logits over √(head size)."""

  config: BertConfig

  @nn.compact
  def __call__(self, x: States, mask: Bool[Array, "b s"]) -> States:
    """Attends; padding is never looked at."""
    config = self.config
    size = config.emb_dim // config.num_heads
    query, key, value = (
      self._heads(Affine(config.emb_dim, _JOINED, config.dtype, name=name)(x))
      for name in ("query", "key", "value")
    )
    mixed = dot_product.attend(
      query * size**-0.5,
      key,
      value,
      mask=mask[:, None, None],
      bias=None,
      dtype=config.dtype,
    )
    return Affine(
      config.emb_dim, ("joined_kv", "embed"), config.dtype, name="out"
    )(mixed.reshape(x.shape))

  @nn.nowrap
  def _heads(self, states: States) -> Float[Array, "b s h d"]:
    return partitioning.with_sharding_constraint(
      states.reshape(*states.shape[:2], self.config.num_heads, -1),
      ("batch", "length", "heads", "kv"),
    )


class BertLayer(nn.Module):
  """Self-attention and feed-forward, each norm(x + f(x))."""

  config: BertConfig

  @nn.compact
  def __call__(self, x: States, mask: Bool[Array, "b s"]) -> States:
    """Applies the layer."""
    config = self.config
    norm = functools.partial(LayerNorm, config.norm_epsilon)
    y = SelfAttention(config, name="attention")(x, mask)
    x = norm(name="attention_norm")(x + y)
    y = Affine(config.mlp_dim, ("embed", "mlp"), config.dtype, name="wi")(x)
    y = partitioning.with_sharding_constraint(
      ACTIVATIONS[config.activation](y), ("batch", "length", "mlp")
    )
    y = Affine(config.emb_dim, ("mlp", "embed"), config.dtype, name="wo")(y)
    return norm(name="mlp_norm")(x + y)


class Bert(nn.Module):
  """A network of the BERT family, with one vector a text as its result."""

  config: BertConfig

  @nn.compact
  def __call__(
    self, encoder_input_tokens: Tokens, *, enable_dropout: bool = False
  ) -> Vectors:
    """Vectors, float32, of texts padded with 0 on the right.

    Raises:
      ValueError: longer than the table of positions.
    """
    del enable_dropout  # it is not trained here
    config, tokens = self.config, jnp.asarray(encoder_input_tokens)
    if tokens.shape[1] > config.max_positions:
      raise ValueError(
        f"texts of {tokens.shape[1]} tokens, the network has"
        f" {config.max_positions} positions: lower max_input_tokens"
      )
    x = layers.TokenEmbedder(
      config.vocab_size,
      config.emb_dim,
      init_stddev=0.02,
      name="token_embedder",
    )(tokens)
    x = x + self._table("positions", config.max_positions)[: tokens.shape[1]]
    x = x + self._table("token_types", config.token_types)[0]
    x = LayerNorm(config.norm_epsilon, name="embedding_norm")(x)
    mask = tokens > 0
    for layer in range(config.num_encoder_layers):
      x = BertLayer(config, name=f"layers_{layer}")(x, mask)
    vectors = pool(x, mask, config.pooling)
    return at_unit_norm(vectors) if config.normalise else vectors

  def embed(self, encoder_input_tokens: Tokens) -> Vectors:
    """The same as a call."""
    return self(encoder_input_tokens)

  @nn.nowrap
  def _table(self, name: str, rows: int) -> Float[Array, "n e"]:
    return partitioning.param_with_axes(
      name,
      nn.initializers.normal(0.02),
      (rows, self.config.emb_dim),
      jnp.float32,
      axes=(name, "embed"),
    )
