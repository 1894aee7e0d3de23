# SPDX-License-Identifier: Apache-2.0
"""Attention where heads of queries share keys, and rows share what was before.

A head of keys serves several heads of queries: these stand as so many more
queries of one head. An earlier row of keys may serve several rows of new
tokens (one example, many targets): its keys are multiplied with the queries
of all of them, and never copied for each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from data_efficient.models import dot_product


class KeysValues(NamedTuple):
  """What later tokens need of earlier ones, in one layer.

  Attributes:
    keys: turned to their positions, float32.
    values: float32.
  """

  keys: Float[Array, "b s g d"]
  values: Float[Array, "b s g d"]


class Places(NamedTuple):
  """Places for the keys and values of one layer, some of them still free.

  Attributes:
    keys: as of `KeysValues`; of a free place, any number.
    values: the same.
    at: the first place that is written to, the same in all rows.
  """

  keys: Float[Array, "b s g d"]
  values: Float[Array, "b s g d"]
  at: Int[Array, ""]


class _Numerics(NamedTuple):
  dtype: str
  cap: float | None


def joined(past: KeysValues, new: KeysValues) -> KeysValues:
  """Earlier tokens' and then new ones'."""
  return KeysValues(
    *(jnp.concatenate(pair, axis=1) for pair in zip(past, new, strict=True))
  )


def written(places: Places, new: KeysValues) -> KeysValues:
  """All places, new tokens' among them; rounded as the places are."""

  def put(whole: Array, some: Array) -> Array:
    some = some.astype(whole.dtype)
    return jax.lax.dynamic_update_slice_in_dim(whole, some, places.at, axis=1)

  return KeysValues(*map(put, places[:2], new))


def attend(
  query: Float[Array, "b t h d"],
  new: KeysValues,
  past: KeysValues | None,
  *,
  mask: Bool[Array, "b 1 t s"],
  dtype: str,
  cap: float | None,
) -> Float[Array, "b t o"]:
  """Each query's mean of the values, all heads side by side.

  Args:
    query: of the new tokens.
    new: keys and values of the new tokens.
    past: those of earlier tokens, of b rows or of a divisor of b: row i of
      the others belongs to row i · rows // b of these.
    mask: true where a query sees a key; those of `past` come first.
    dtype: of the products' operands.
    cap: c of c · tanh(logit / c), of attention; None for none.
  """
  b, t, heads, size = query.shape
  groups = new.keys.shape[2]
  sharers = heads // groups
  split = query.reshape(b, t, groups, sharers, size)
  folded = split.swapaxes(2, 3).reshape(b, t * sharers, groups, size)
  mask = jnp.repeat(mask, sharers, axis=2)
  numerics = _Numerics(dtype, cap)
  if past is None:
    mixed = dot_product.attend(
      folded, *new, mask=mask, bias=None, **numerics._asdict()
    )
  else:

    def on_cpu(*arrays):
      return _by_row(numerics, *arrays)

    def elsewhere(*arrays):
      return _at_once(numerics, *arrays)

    mixed = jax.lax.platform_dependent(
      folded, new, past, mask, cpu=on_cpu, default=elsewhere
    )
  split = mixed.reshape(b, t, sharers, groups, size)
  return split.swapaxes(2, 3).reshape(b, t, heads * size)


def _by_row(numerics: _Numerics, query, new, past, mask) -> Array:
  """Row by row: a row's weights stay in a CPU's cache between products."""
  shared = query.shape[0] // past.keys.shape[0]

  def one(row):
    number, query, new, mask = row
    before = jax.tree.map(lambda x: x[number // shared], past)
    every = joined(*jax.tree.map(lambda x: x[None], (before, new)))
    found = dot_product.attend(
      query[None], *every, mask=mask[None], bias=None, **numerics._asdict()
    )
    return found[0]

  numbers = jnp.arange(query.shape[0])
  return jax.lax.map(one, (numbers, query, new, mask))


def _at_once(numerics: _Numerics, query, new, past, mask) -> Array:
  """All rows: softmax over both kinds of keys, whose products stay apart."""
  b, q, groups, size = query.shape
  e, s = past.keys.shape[:2]

  def of_past(x: Array) -> Array:
    """[b, g, q] as the past's rows have it, [e, g, rows · q]."""
    x = x.reshape(e, b // e, groups, q).swapaxes(1, 2)
    return x.reshape(e, groups, b // e * q)

  def of_new(x: Array) -> Array:
    x = x.reshape(e, groups, b // e, q).swapaxes(1, 2)
    return x.reshape(b, groups, q)

  before = dot_product.logits(
    query.reshape(e, b // e * q, groups, size),
    past.keys,
    mask=mask[..., :s].reshape(e, 1, b // e * q, s),
    bias=None,
    **numerics._asdict(),
  )
  own = dot_product.logits(
    query, new.keys, mask=mask[..., s:], bias=None, **numerics._asdict()
  )
  peak = jnp.maximum(of_new(before.max(axis=-1)), own.max(axis=-1))
  before = jnp.exp(before - of_past(peak)[..., None])
  own = jnp.exp(own - peak[..., None])
  total = of_new(before.sum(axis=-1)) + own.sum(axis=-1)
  mixed = dot_product.mix(before, past.values, dtype=numerics.dtype)
  mixed = mixed.reshape(query.shape)
  mixed += dot_product.mix(own, new.values, dtype=numerics.dtype)
  return mixed / total.swapaxes(1, 2)[..., None]
