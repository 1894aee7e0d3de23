# SPDX-License-Identifier: Apache-2.0
"""The layers of T5 1.1: norm, projection, feed-forward, embedding.

Parameters are float32 and carry logical axis names; `partitioning` maps the
names to a mesh. `dtype` is what the operands of a matmul are rounded to; its
result, the residual stream, norms and softmax stay float32.
"""

import functools
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
  """A contraction with operands rounded to `dtype`, summed in float32.

  Backward too, where the incoming gradient is one of the operands; the
  gradients that come out are float32 sums, never rounded.

  Args:
    subscripts: of two operands; each index stands in at least two of the
      three terms.
    left: any float type.
    right: any float type.
    dtype: "float32" or "bfloat16".
  """
  if dtype == "float32":
    return _summed_in_float32(subscripts, left, right, dtype)
  left, right = left.astype(jnp.float32), right.astype(jnp.float32)
  return _rounded_einsum(subscripts, dtype, left, right)


def _summed_in_float32(subscripts, left, right, dtype) -> Array:
  return jnp.einsum(
    subscripts,
    left.astype(dtype),
    right.astype(dtype),
    preferred_element_type=jnp.float32,
  )


# JAX's own derivative would multiply the float32 gradient by the rounded
# operand, at the speed of float32, and round the result.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _rounded_einsum(subscripts, dtype, left, right):
  return _summed_in_float32(subscripts, left, right, dtype)


def _forward(subscripts, dtype, left, right):
  kept = (left.astype(dtype), right.astype(dtype))
  return _summed_in_float32(subscripts, *kept, dtype), kept


def _backward(subscripts, dtype, kept, gradient):
  left, right = kept
  operands, result = subscripts.split("->")
  first, second = operands.split(",")
  gradient = gradient.astype(dtype)
  return (
    _product(f"{result},{second}->{first}", gradient, right),
    _product(f"{first},{result}->{second}", left, gradient),
  )


def _product(subscripts: str, left: Array, right: Array) -> Array:
  """A product of rounded operands, on any platform."""

  def widened(left: Array, right: Array) -> Array:
    return _summed_in_float32(subscripts, left, right, "float32")

  def rounded(left: Array, right: Array) -> Array:
    return _summed_in_float32(subscripts, left, right, left.dtype)

  # XLA has no bfloat16 product with a float32 sum for all layouts on the CPU.
  return jax.lax.platform_dependent(left, right, cpu=widened, default=rounded)


_rounded_einsum.defvjp(_forward, _backward)


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


class Kernel(nn.Module):
  """A matrix of parameters: the one of `Dense` where that has the same name.

  Attributes:
    shape: inputs and outputs.
    axes: logical names of both.
    kernel_init: of the values.
  """

  shape: tuple[int, int]
  axes: tuple[str, str]
  kernel_init: Initializer

  @nn.compact
  def __call__(self) -> Float[Array, "i o"]:
    """The matrix."""
    return partitioning.param_with_axes(
      "kernel", self.kernel_init, self.shape, jnp.float32, axes=self.axes
    )


class Dense(nn.Module):
  """A projection of the last axis.

  Attributes:
    features: width of the result.
    axes: logical names of the kernel's two axes.
    dtype: type of the matmul's operands.
    kernel_init: of the kernel [inputs, features].
    bias: whether the result is shifted.
  """

  features: int
  axes: tuple[str, str]
  dtype: str
  kernel_init: Initializer = nn.initializers.variance_scaling(
    1.0, "fan_in", "truncated_normal"
  )
  bias: bool = False

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
    result = einsum("bti,io->bto", x, kernel, dtype=self.dtype)
    if not self.bias:
      return result
    return result + partitioning.param_with_axes(
      "bias",
      nn.initializers.zeros,
      (self.features,),
      jnp.float32,
      axes=self.axes[1:],
    )


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
