# SPDX-License-Identifier: Apache-2.0
"""Gradients to low-dimensional features that keep their cosines (LESS).

    Γ(z) = m̂ / (√(v̂ + ε_root) + ε)
    m̂ = (β₁ m + (1 − β₁) ∇ℓ(z)) / (1 − β₁ᵗ⁺¹),  v̂ likewise of (∇ℓ(z))²

is the direction in which Adam, with moments m and v after t steps, would move
if z were its next batch (Xia et al. 2024, arXiv 2402.04333, Section 3.1). It is
projected by a matrix of random signs, R x / √d (Section 4.1), which is made of
counters block by block and never there as a whole.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

# Numbers of a gradient that share one block of signs: of 8,192 dimensions that
# is 32 MiB at a time.
BLOCK = 1024
_BITS = 32
# Signs are ±1, so that only the gradients need all of float32's bits.
_HIGHEST = jax.lax.Precision.HIGHEST


class Moments(NamedTuple):
  """Adam's state.

  Attributes:
    count: t, steps that were taken.
    first: m, a tree like the parameters.
    second: v, likewise.
  """

  count: Int[Array, ""]
  first: Any
  second: Any


class AdamRates(NamedTuple):
  """Adam's numbers; hashable. Names and places are Optax's."""

  b1: float
  b2: float
  eps: float
  eps_root: float


@functools.partial(jax.jit, static_argnames="rates")
def adam_directions(
  gradients: Any, moments: Moments, *, rates: AdamRates
) -> Any:
  """Γ of each of n gradients.

  Args:
    gradients: a tree like the parameters, each leaf with an axis of n before
      its own.
    moments: of the parameters.
    rates: of the optimizer.

  Returns:
    A tree like the gradients. Adam would step by −(learning rate) times these.
  """
  step = jnp.asarray(moments.count, jnp.float32) + 1.0
  first_rest = 1.0 - rates.b1**step
  second_rest = 1.0 - rates.b2**step

  def direction(gradient: Array, first: Array, second: Array) -> Array:
    first = rates.b1 * first[None] + (1.0 - rates.b1) * gradient
    second = rates.b2 * second[None] + (1.0 - rates.b2) * jnp.square(gradient)
    root = jnp.sqrt(second / second_rest + rates.eps_root)
    return first / first_rest / (root + rates.eps)

  return jax.tree.map(direction, gradients, moments.first, moments.second)


@functools.partial(jax.jit, static_argnames="dimensions")
def project(
  gradients: Any, key: Key[Array, ""], *, dimensions: int
) -> Float[Array, "n d"]:
  """R x / √d of each of n gradients x, as vectors; R has random signs.

  E[⟨Rx, Ry⟩ / d] = ⟨x, y⟩, with a standard deviation of at most √(2/d) |x| |y|
  (Johnson and Lindenstrauss 1984). The signs of a number of the vector depend
  on the key and its place alone.

  Args:
    gradients: a tree, each leaf with an axis of n before its own. The vectors
      have the leaves one behind another, in the tree's order.
    key: of the signs.
    dimensions: d.
  """
  leaves = jax.tree.leaves(gradients)
  flat = [leaf.reshape(leaf.shape[0], -1) for leaf in leaves]
  vectors = jnp.concatenate(flat, axis=1).astype(jnp.float32)
  blocks = -(-vectors.shape[1] // BLOCK)
  missing = blocks * BLOCK - vectors.shape[1]
  vectors = jnp.pad(vectors, ((0, 0), (0, missing)))

  def add(number: Array, total: Array) -> Array:
    part = jax.lax.dynamic_slice_in_dim(vectors, number * BLOCK, BLOCK, axis=1)
    own = signs(key, number, dimensions=dimensions)
    return total + jnp.matmul(part, own, precision=_HIGHEST)

  total = jnp.zeros((vectors.shape[0], dimensions), jnp.float32)
  return jax.lax.fori_loop(0, blocks, add, total) / jnp.sqrt(
    jnp.float32(dimensions)
  )


def signs(
  key: Key[Array, ""], block: Int[Array, ""] | int, *, dimensions: int
) -> Float[Array, "block {dimensions}"]:
  """The signs of a block of numbers: Rᵀ of its places, ±1."""
  words = -(-dimensions // _BITS)
  own = jax.random.fold_in(key, block)
  bits = jax.random.bits(own, (BLOCK, words), jnp.uint32)
  places = jax.lax.broadcasted_iota(jnp.uint32, (BLOCK, words, _BITS), 2)
  ones = (bits[..., None] >> places) & jnp.uint32(1)
  found = ones.reshape(BLOCK, words * _BITS)[:, :dimensions]
  return 2.0 * found.astype(jnp.float32) - 1.0


@jax.jit
def unit(features: Float[Array, "n d"]) -> Float[Array, "n d"]:
  """Rows at unit norm; nan where a row is zero, which has no direction."""
  return features / jnp.linalg.norm(features, axis=1, keepdims=True)


@jax.jit
def cosines(
  features: Float[Array, "n d"], directions: Float[Array, "m d"]
) -> Float[Array, "n m"]:
  """Products of unit features with directions: cosines where those are unit."""
  return jnp.matmul(unit(features), directions.T, precision=_HIGHEST)
