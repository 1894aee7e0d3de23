# SPDX-License-Identifier: Apache-2.0
"""Softmax attention of queries to keys and values, in float32.

Masks are booleans, true where a query may look at a key.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from data_efficient.models import layers

# What a hidden key's logit becomes: its weight is exactly 0, and a query that
# sees no key at all spreads its weight evenly instead of giving nan.
_HIDDEN = -1e10

Queries = Float[Array, "b t h d"]
Memory = Float[Array, "b s h d"]
Logits = Float[Array, "b h t s"]
Mask = Bool[Array, "#b 1 #t s"]
Bias = Float[Array, "1 h t s"]


def attend(
  query: Queries,
  key: Memory,
  value: Memory,
  *,
  mask: Mask | None,
  bias: Bias | None,
  dtype: str,
  cap: float | None = None,
) -> Queries:
  """Each query's mean of the values, weighted by softmax of the logits.

  The order of the work is the platform's: the weights of one example, h·t·s,
  stay in a CPU's cache from one product to the other, those of a batch go
  through memory several times.

  Args:
    query: what asks.
    key: what it is compared with.
    value: what is returned.
    mask: None hides nothing.
    bias: added to the logits of all examples.
    dtype: of the products' operands.
    cap: c of c · tanh(logit / c), before the mask; None for none.
  """
  if mask is not None:
    mask = jnp.broadcast_to(mask, (query.shape[0], *mask.shape[1:]))
  return _attend(_Settings(dtype, cap), query, key, value, mask, bias)


class _Settings(NamedTuple):
  dtype: str
  cap: float | None


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _attend(settings, query, key, value, mask, bias) -> Queries:
  return jax.lax.platform_dependent(
    query,
    key,
    value,
    mask,
    bias,
    cpu=functools.partial(_by_example, settings),
    default=functools.partial(_at_once, settings),
  )


# What a backward pass needs of every example is in memory anyway.
@_attend.defjvp
def _derivative(settings, primals, tangents):
  return jax.jvp(functools.partial(_at_once, settings), primals, tangents)


def _at_once(settings, query, key, value, mask, bias) -> Queries:
  found = logits(query, key, mask=mask, bias=bias, **settings._asdict())
  return mix(jax.nn.softmax(found, axis=-1), value, dtype=settings.dtype)


# Every platform traces it. Once a shape, and not once a layer: of T5 XXL that
# is 3 s and not 24.
@functools.partial(jax.jit, static_argnums=0, inline=True)
def _by_example(settings, query, key, value, mask, bias) -> Queries:
  """Head by head: what does not wait for each other runs side by side.

  12 heads of 32, 256 tokens, take two thirds of the time that they take in
  products of all heads.
  """

  def one(example):
    *states, hidden = example
    mixed = [
      _weighted(
        settings,
        *(x[:, head] for x in states),
        None if hidden is None else hidden[0],
        None if bias is None else bias[0, head],
      )
      for head in range(query.shape[2])
    ]
    return jnp.concatenate(mixed, axis=-1)

  return jax.lax.map(one, (query, key, value, mask)).reshape(query.shape)


def _weighted(settings, query, key, value, mask, bias) -> Float[Array, "t d"]:
  """Of one head of one example."""
  found = layers.einsum("td,sd->ts", query, key, dtype=settings.dtype)
  found = _finished(found, mask=mask, bias=bias, cap=settings.cap)
  weights = jnp.exp(found - found.max(axis=-1, keepdims=True))
  mixed = layers.einsum("ts,sd->td", weights, value, dtype=settings.dtype)
  return mixed / weights.sum(axis=-1, keepdims=True)


def logits(
  query: Queries,
  key: Memory,
  *,
  mask: Mask | None,
  bias: Bias | None,
  dtype: str,
  cap: float | None = None,
) -> Logits:
  """Products of queries and keys, with the bias; hidden ones about −10¹⁰."""
  found = layers.einsum("bthd,bshd->bhts", query, key, dtype=dtype)
  return _finished(found, mask=mask, bias=bias, cap=cap)


def _finished(found, *, mask, bias, cap):
  """Capped, with the bias, then masked."""
  if cap is not None:
    found = cap * jnp.tanh(found / cap)
  if bias is not None:
    found = found + bias
  return found if mask is None else hide(found, mask)


def hide(
  found: Float[Array, "... t s"], mask: Bool[Array, "... #t s"]
) -> Float[Array, "... t s"]:
  """The logits, with those of hidden keys so low that they weigh nothing."""
  return jnp.where(mask, found, _HIDDEN)


def mix(weights: Logits, value: Memory, *, dtype: str) -> Queries:
  """Sums of the values by weight."""
  return layers.einsum("bhts,bshd->bthd", weights, value, dtype=dtype)
