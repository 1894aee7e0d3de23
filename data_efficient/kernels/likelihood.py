# SPDX-License-Identifier: Apache-2.0
"""Log-likelihoods of given tokens, and the sums a training loss is made of.

  L = Σ wᵢ (−log p(yᵢ) + ζ · (log Zᵢ)²) / Σ wᵢ

is `means(sums).loss + ζ * means(sums).squared_log_normalizer`; the second
term, T5's z-loss (ζ = 10⁻⁴), keeps log Z near 0.

Everything is float32, whatever the network computed in. A position without
weight is replaced before the softmax and left out by `where`, never multiplied
by zero: 0 · nan would poison the sum and its gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Targets = Int[Array, "b t"] | Int[np.ndarray, "b t"]
Mask = Bool[Array, "b t"] | Bool[np.ndarray, "b t"]
Weights = Float[Array, "b t"] | Float[np.ndarray, "b t"]
Logits = Float[Array, "b t v"] | Float[np.ndarray, "b t v"]


class LossSums(NamedTuple):
  """Sums over weighted tokens; `merge` adds two of them, `means` divides.

  Attributes:
    negative_log_likelihood: Σ wᵢ · −log p(yᵢ), nats.
    squared_log_normalizer: Σ wᵢ · (log Zᵢ)².
    correct: Σ wᵢ · [argmax pᵢ = yᵢ].
    weight: Σ wᵢ.
  """

  negative_log_likelihood: Float[Array, ""]
  squared_log_normalizer: Float[Array, ""]
  correct: Float[Array, ""]
  weight: Float[Array, ""]


class LossMeans(NamedTuple):
  """Means per unit of weight; all are nan when nothing had weight.

  Attributes:
    loss: mean −log p(y), nats a token.
    squared_log_normalizer: mean (log Z)², the quantity z-loss keeps small.
    accuracy: share of tokens whose target is the most likely token.
  """

  loss: Float[Array, ""]
  squared_log_normalizer: Float[Array, ""]
  accuracy: Float[Array, ""]


def _chosen(logits: Float[Array, "b t v"], targets: Targets) -> Array:
  # A comparison and a sum instead of a gather: it stays local when the
  # vocabulary is split over devices.
  vocabulary = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2)
  hit = vocabulary == jnp.asarray(targets, jnp.int32)[..., None]
  chosen = jnp.where(hit, logits, 0.0).sum(axis=-1)
  return jnp.where(hit.any(axis=-1), chosen, jnp.nan)


@jax.jit
def token_log_likelihoods(
  logits: Logits, targets: Targets
) -> Float[Array, "b t"]:
  """Log-probability of each target token under its position's logits.

    log p(yₜ) = logitₜ[yₜ] − log Σ_v exp(logitₜ[v])

  Args:
    logits: unnormalised, any float type; converted to float32 first.
    targets: token ids in [0, v); another id gives nan, not a number that
      looks like a likelihood.

  Returns:
    Nats, float32, at most 0.
  """
  logits = jnp.asarray(logits).astype(jnp.float32)
  normalizers = jax.nn.logsumexp(logits, axis=-1)
  return _chosen(logits, targets) - normalizers


@jax.jit
def sequence_log_likelihoods(
  logits: Logits, targets: Targets, mask: Mask
) -> Float[Array, " b"]:
  """Log-probability of each sequence: the sum over its unmasked tokens.

    log p(y) = Σₜ maskₜ · log p(yₜ)

  Args:
    logits: unnormalised, any float type.
    targets: token ids in [0, v) where `mask` is true; anything elsewhere.
    mask: true where a token counts; nan under a false mask cannot leak.

  Returns:
    Nats, float32; 0 for a sequence without tokens.
  """
  logits = jnp.where(jnp.asarray(mask)[..., None], logits, 0.0)
  tokens = token_log_likelihoods(logits, targets)
  return jnp.where(mask, tokens, 0.0).sum(axis=-1)


@jax.jit
def loss_sums(logits: Logits, targets: Targets, weights: Weights) -> LossSums:
  """Sums from which the training loss and the accuracy are computed.

  Args:
    logits: unnormalised, any float type.
    targets: token ids in [0, v) where the weight is positive.
    weights: at least 0; a token of weight 0 takes no part. A 0/1 mask as
      floats, or importance weights.
  """
  weights = jnp.asarray(weights).astype(jnp.float32)
  counted = weights > 0.0
  logits = jnp.asarray(logits).astype(jnp.float32)
  logits = jnp.where(counted[..., None], logits, 0.0)
  normalizers = jax.nn.logsumexp(logits, axis=-1)
  likelihoods = _chosen(logits, targets) - normalizers
  hits = jnp.argmax(logits, axis=-1) == jnp.asarray(targets)

  def total(values: Array) -> Array:
    return jnp.where(counted, values * weights, 0.0).sum()

  return LossSums(
    negative_log_likelihood=-total(likelihoods),
    squared_log_normalizer=total(jnp.square(normalizers)),
    correct=total(hits.astype(jnp.float32)),
    weight=weights.sum(),
  )


def empty() -> LossSums:
  """Sums of no tokens: the identity of `merge`."""
  zero = jnp.zeros((), jnp.float32)
  return LossSums(zero, zero, zero, zero)


def merge(left: LossSums, right: LossSums) -> LossSums:
  """Sums over the tokens of both."""
  return jax.tree.map(jnp.add, left, right)


def means(sums: LossSums) -> LossMeans:
  """Means per unit of weight; nan when the weight is 0."""
  return LossMeans(
    loss=sums.negative_log_likelihood / sums.weight,
    squared_log_normalizer=sums.squared_log_normalizer / sums.weight,
    accuracy=sums.correct / sums.weight,
  )
