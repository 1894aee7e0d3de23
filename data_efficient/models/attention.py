# SPDX-License-Identifier: Apache-2.0
"""T5's multi-head attention, its masks, and its cache for decoding.

Masks are booleans, true where a query may look at a key. The logits are not
divided by √(head size): T5 folds that into the initial query projection.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import dot_product, layers

Queries = Int[Array, "b t"] | Int[np.ndarray, "b t"]
Keys = Int[Array, "b s"] | Int[np.ndarray, "b s"]
States = Float[Array, "b t h d"]


class Remembered(NamedTuple):
  """Keys and values of all steps so far, and the step they are at.

  Attributes:
    key: [b, s, h, d] with room for every step.
    value: likewise.
    step: index of the newest token; None while the cache is being made.
  """

  key: States
  value: States
  step: Int[Array, ""] | None


def padding_mask(
  queries: Bool[Array, "b t"], keys: Bool[Array, "b s"]
) -> Bool[Array, "b 1 t s"]:
  """Both the query and the key are tokens, not padding."""
  return (queries[:, :, None] & keys[:, None, :])[:, None]


def segment_mask(queries: Queries, keys: Keys) -> Bool[Array, "b 1 t s"]:
  """The query and the key belong to the same packed example."""
  same = jnp.asarray(queries)[:, :, None] == jnp.asarray(keys)[:, None, :]
  return same[:, None]


def causal_mask(length: int) -> Bool[Array, "1 1 t t"]:
  """The key is not after the query."""
  return jnp.tril(jnp.ones((length, length), bool))[None, None]


def _initializer(scale: float) -> layers.Initializer:
  return nn.initializers.variance_scaling(scale, "fan_in", "normal")


class Attention(nn.Module):
  """Multi-head dot-product attention without biases in its projections.

  Attributes:
    num_heads: heads.
    head_dim: size of a head; heads times this need not be the width.
    dtype: type of the matmuls' operands; softmax is float32.
    dropout_rate: of the attention weights, one mask for all queries.
  """

  num_heads: int
  head_dim: int
  dtype: str
  dropout_rate: float

  @nn.compact
  def __call__(
    self,
    x: Float[Array, "b t e"],
    memory: Float[Array, "b s e"],
    *,
    mask: Bool[Array, "#b 1 #t s"] | None,
    bias: Float[Array, "1 h q k"] | None = None,
    deterministic: bool,
    decode: bool = False,
    fold: bool = False,
  ) -> Float[Array, "b t e"]:
    """Attends from `x` to `memory`.

    With `decode`, the first call (no cache yet) makes room for as many steps
    as `x` has; every later call takes one token and attends to all so far.

    Args:
      x: what asks.
      memory: what is attended to; `x` itself in self-attention.
      mask: true where the query may see the key; None hides nothing.
      bias: added to the logits of all examples.
      deterministic: no dropout.
      decode: keep keys and values in the collection "cache".
      fold: for few queries of a long memory, without bias or dropout: the
        same mathematics with fewer products.

    Raises:
      ValueError: decoding more than one token at a time, or with a bias for
        another length than the cache's.
    """
    if fold:
      return self._folded(x, memory, mask)
    # Variance / head_dim is the standard deviation / √head_dim.
    query = self._heads("query", x, 1.0 / self.head_dim)
    key, value = self._heads("key", memory), self._heads("value", memory)
    if decode:
      key, value, step = self._remember(key, value)
      if step is not None:
        mask = (jnp.arange(key.shape[1]) <= step)[None, None, None]
        bias = _row(bias, step, length=key.shape[1])
    if deterministic and not decode:
      mixed = dot_product.attend(
        query, key, value, mask=mask, bias=bias, dtype=self.dtype
      )
      return self._out(mixed, x.shape[-1])
    logits = dot_product.logits(
      query, key, mask=mask, bias=bias, dtype=self.dtype
    )
    weights = jax.nn.softmax(logits, axis=-1)
    weights = nn.Dropout(self.dropout_rate, broadcast_dims=(-2,))(
      weights, deterministic=deterministic
    )
    mixed = dot_product.mix(weights, value, dtype=self.dtype)
    return self._out(mixed, x.shape[-1])

  @nn.nowrap
  def _folded(
    self,
    x: Float[Array, "b t e"],
    memory: Float[Array, "b s e"],
    mask: Bool[Array, "#b 1 #t s"],
  ) -> Float[Array, "b t e"]:
    """Attention of few queries: no keys and values of every position.

    q · (W_k m) = (W_kᵀ q) · m, and Σ w (W_v m) = W_v Σ w m: the projections
    are applied to the t queries, not to the s positions.
    """
    einsum = functools.partial(layers.einsum, dtype=self.dtype)
    query = self._heads("query", x, 1.0 / self.head_dim)
    folded = einsum("bthd,ehd->bthe", query, self._kernel("key", memory))
    logits = einsum("bthe,bse->bhts", folded, memory)
    weights = jax.nn.softmax(dot_product.hide(logits, mask), axis=-1)
    mixed = einsum("bhts,bse->bthe", weights, memory)
    mixed = einsum("bthe,ehd->bthd", mixed, self._kernel("value", memory))
    return self._out(mixed, x.shape[-1])

  @nn.nowrap
  def _kernel(
    self, name: str, memory: Float[Array, "b s e"]
  ) -> Float[Array, "e h d"]:
    kernel = layers.Kernel(
      (memory.shape[-1], self.num_heads * self.head_dim),
      ("embed", "joined_kv"),
      _initializer(1.0),
      name=name,
    )()
    return kernel.reshape(-1, self.num_heads, self.head_dim)

  @nn.nowrap
  def _out(
    self, mixed: Float[Array, "b t h d"], features: int
  ) -> Float[Array, "b t e"]:
    return layers.Dense(
      features,
      axes=("joined_kv", "embed"),
      dtype=self.dtype,
      kernel_init=_initializer(1.0),
      name="out",
    )(mixed.reshape(*mixed.shape[:2], -1))

  @nn.nowrap
  def _heads(
    self, name: str, inputs: Float[Array, "b t e"], scale: float = 1.0
  ) -> States:
    states = layers.Dense(
      self.num_heads * self.head_dim,
      axes=("embed", "joined_kv"),
      dtype=self.dtype,
      kernel_init=_initializer(scale),
      name=name,
    )(inputs)
    return partitioning.with_sharding_constraint(
      states.reshape(*inputs.shape[:2], self.num_heads, self.head_dim),
      ("batch", "length", "heads", "kv"),
    )

  @nn.nowrap
  def _remember(self, key: States, value: States) -> Remembered:
    ready = self.has_variable("cache", "cached_key")
    keys = self.variable(
      "cache", "cached_key", jnp.zeros, key.shape, self.dtype
    )
    values = self.variable(
      "cache", "cached_value", jnp.zeros, value.shape, self.dtype
    )
    index = self.variable("cache", "cache_index", jnp.zeros, (), jnp.int32)
    if not ready:
      return Remembered(key, value, None)
    if key.shape[1] != 1:
      raise ValueError(
        f"a decoding step got {key.shape[1]} tokens: expected one, after the"
        " call that makes the cache"
      )
    step = index.value
    for cache, new in ((keys, key), (values, value)):
      cache.value = jax.lax.dynamic_update_slice_in_dim(
        cache.value, new.astype(self.dtype), step, axis=1
      )
    index.value = step + 1
    return Remembered(keys.value, values.value, step)


def _row(
  bias: Float[Array, "1 h q k"] | None, step: Int[Array, ""], *, length: int
) -> Float[Array, "1 h 1 k"] | None:
  """The bias of one query."""
  if bias is None:
    return None
  if bias.shape[-1] != length:
    raise ValueError(
      f"the cache holds {length} steps, the position bias {bias.shape[-1]}:"
      " pass max_decode_length, the length that the cache was made with"
    )
  return jax.lax.dynamic_slice_in_dim(bias, step, 1, axis=2)
