# SPDX-License-Identifier: Apache-2.0
"""The layers of T5 1.1: norm, projection, feed-forward, relative positions.

Parameters are float32 and carry logical axis names; `partitioning` maps the
names to a mesh. `dtype` is what the operands of a matmul are rounded to; its
result, the residual stream, norms and softmax stay float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Float, Int

Initializer = Callable[..., Any]

_EPSILON = 1e-6  # of the norm; T5's value, the same in every release.


def einsum(
  subscripts: str, left: Array, right: Array, *, dtype: str
) -> Float[Array, "..."]:
  """A contraction with operands rounded to `dtype`, summed in float32."""
  return jnp.einsum(
    subscripts,
    left.astype(dtype),
    right.astype(dtype),
    preferred_element_type=jnp.float32,
  )


class RMSNorm(nn.Module):
  """Scaled root-mean-square normalisation, without mean or bias.

  y = x / √(mean(x²) + 10⁻⁶) · scale     (Zhang & Sennrich 2019; T5, Sec. 2.1)
  """

  @nn.compact
  def __call__(self, x: Float[Array, "b t e"]) -> Float[Array, "b t e"]:
    """Normalises the last axis, in float32."""
    scale = partitioning.param_with_axes(
      "scale",
      nn.initializers.ones,
      (x.shape[-1],),
      jnp.float32,
      axes=("embed",),
    )
    x = x.astype(jnp.float32)
    power = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(power + _EPSILON) * scale[None, None, :]


class Dense(nn.Module):
  """A projection of the last axis, without bias.

  Attributes:
    features: width of the result.
    axes: logical names of the kernel's two axes.
    dtype: type of the matmul's operands.
    kernel_init: of the kernel [inputs, features].
  """

  features: int
  axes: tuple[str, str]
  dtype: str
  kernel_init: Initializer = nn.initializers.variance_scaling(
    1.0, "fan_in", "truncated_normal"
  )

  @nn.compact
  def __call__(self, x: Float[Array, "b t i"]) -> Float[Array, "b t o"]:
    """Projects; the result is float32."""
    kernel = partitioning.param_with_axes(
      "kernel",
      self.kernel_init,
      (x.shape[-1], self.features),
      jnp.float32,
      axes=self.axes,
    )
    return einsum("bti,io->bto", x, kernel, dtype=self.dtype)


class GatedFeedForward(nn.Module):
  """The feed-forward block of T5 1.1.

    wo · (gelu(wi_0 · x) ⊙ (wi_1 · x))     (Shazeer 2020, GEGLU)

  Attributes:
    hidden: width of the two inner projections.
    dtype: type of the matmuls' operands.
    dropout_rate: of the hidden layer, one mask for all positions.
  """

  hidden: int
  dtype: str
  dropout_rate: float

  @nn.compact
  def __call__(
    self, x: Float[Array, "b t e"], *, deterministic: bool
  ) -> Float[Array, "b t e"]:
    """Applies the block to every position."""
    axes = ("embed", "mlp")
    gate = Dense(self.hidden, axes=axes, dtype=self.dtype, name="wi_0")(x)
    linear = Dense(self.hidden, axes=axes, dtype=self.dtype, name="wi_1")(x)
    # The tanh approximation: what T5 1.1 was trained with.
    hidden = nn.gelu(gate, approximate=True) * linear
    hidden = nn.Dropout(self.dropout_rate, broadcast_dims=(-2,))(
      hidden, deterministic=deterministic
    )
    hidden = partitioning.with_sharding_constraint(
      hidden, ("batch", "length", "mlp")
    )
    return Dense(
      x.shape[-1], axes=("mlp", "embed"), dtype=self.dtype, name="wo"
    )(hidden)


class TokenEmbedder(nn.Module):
  """The embedding table shared by encoder and decoder.

  Attributes:
    vocab_size: rows.
    features: width.
    init_stddev: of the normal initialiser.
  """

  vocab_size: int
  features: int
  init_stddev: float

  @nn.compact
  def __call__(
    self, tokens: Int[Array, "b t"] | Int[np.ndarray, "b t"]
  ) -> Float[Array, "b t e"]:
    """Looks tokens up; an id outside the table gives nan, never a neighbour."""
    embedding = partitioning.param_with_axes(
      "embedding",
      nn.initializers.normal(stddev=self.init_stddev),
      (self.vocab_size, self.features),
      jnp.float32,
      axes=("vocab", "embed"),
    )
    vectors = jnp.take(embedding, jnp.asarray(tokens), axis=0, mode="fill")
    return partitioning.with_sharding_constraint(
      vectors, ("batch", "length", "embed")
    )


def _bucket_starts(exact: int, buckets: int, max_distance: int) -> np.ndarray:
  """Smallest distance of each of the logarithmic buckets, `exact` first.

  Bucket `exact` + k starts at the smallest n with
  (n / exact)^(buckets − exact) ≥ (max_distance / exact)^k. In integers: at
  n = 16, 32, 64 the usual float formula sits on the edge of two buckets.
  """
  wide = buckets - exact
  starts, distance = [], exact
  for k in range(wide):
    bound = max_distance**k * exact ** (wide - k)
    while distance**wide < bound:
      distance += 1
    starts.append(distance)
  return np.array(starts)


def relative_position_buckets(
  *,
  num_queries: int,
  num_keys: int,
  bidirectional: bool,
  num_buckets: int,
  max_distance: int,
) -> Int[np.ndarray, "q k"]:
  """Bucket of the distance from each query position to each key position.

  Half of a direction's buckets hold one distance each, the rest grow
  logarithmically up to `max_distance`; farther keys share the last one. When
  `bidirectional`, the second half of the buckets is for keys after the query;
  otherwise such keys fall into bucket 0, and the causal mask hides them.

  Returns:
    Values in [0, num_buckets). Source: T5 (arXiv 1910.10683), Sec. 2.1.
  """
  relative = np.arange(num_keys)[None, :] - np.arange(num_queries)[:, None]
  buckets = num_buckets // 2 if bidirectional else num_buckets
  distance = np.abs(relative) if bidirectional else np.maximum(-relative, 0)
  exact = buckets // 2
  starts = _bucket_starts(exact, buckets, max_distance)
  logarithmic = exact - 1 + np.searchsorted(starts, distance, side="right")
  bucket = np.where(distance < exact, distance, logarithmic)
  offset = buckets if bidirectional else 0
  return (bucket + np.where(relative > 0, offset, 0)).astype(np.int32)


class RelativePositionBias(nn.Module):
  """A learnt bias for every head and bucket of distances.

  Attributes:
    num_heads: attention heads.
    num_buckets: buckets of distances.
    max_distance: distances from here on share the last bucket.
    bidirectional: whether keys after the query have buckets of their own.
  """

  num_heads: int
  num_buckets: int
  max_distance: int
  bidirectional: bool

  @nn.compact
  def __call__(self, length: int) -> Float[Array, "1 h q k"]:
    """The bias between all pairs of `length` positions, float32."""
    table = partitioning.param_with_axes(
      "rel_embedding",
      nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
      (self.num_heads, self.num_buckets),
      jnp.float32,
      axes=("heads", "relpos_buckets"),
    )
    buckets = relative_position_buckets(
      num_queries=length,
      num_keys=length,
      bidirectional=self.bidirectional,
      num_buckets=self.num_buckets,
      max_distance=self.max_distance,
    )
    return jnp.take(table, jnp.asarray(buckets), axis=1)[None]
