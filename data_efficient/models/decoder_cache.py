# SPDX-License-Identifier: Apache-2.0
"""What a decoder has read: what it keeps of each token, and who sees it."""

from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from data_efficient.models import attention, grouped_attention


class Cache(NamedTuple):
  """What was read so far.

  Attributes:
    layers: keys and values of each layer.
    positions: of the tokens, int32 [b, s].
    valid: which of them are tokens and not padding, bool [b, s].
  """

  layers: tuple[grouped_attention.KeysValues, ...]
  positions: Int[Array, "b s"]
  valid: Bool[Array, "b s"]


def with_room(cache: Cache, places: int, *, dtype: str) -> Cache:
  """A cache with free places behind those that are taken.

  Args:
    cache: of `CausalModel.read`.
    places: how many are added.
    dtype: that keys and values are kept in; the network's own changes no
      result, since it rounds the operands of its products to it.
  """

  def widened(x: Array) -> Array:
    return jnp.pad(x, [(0, 0), (0, places), *[(0, 0)] * (x.ndim - 2)])

  kept = jax.tree.map(lambda x: widened(x.astype(dtype)), cache.layers)
  return Cache(kept, widened(cache.positions), widened(cache.valid))


def masks(
  positions: Int[Array, "b t"],
  read: Cache,
  segments: Int[Array, "b t"] | Int[np.ndarray, "b t"] | None,
  *,
  before: int | Int[Array, ""],
  windows: Collection[int | None],
) -> dict[int | None, Bool[Array, "b 1 t s"]]:
  """Which new token sees which token, for each window.

  Args:
    positions: of the new tokens.
    read: all tokens, the new ones among them.
    segments: of the new tokens, which are all then; None for one.
    before: places in `read` that stand before the new ones.
    windows: those of the layers; None for all positions.
  """
  # Order in the row decides, not the position: padding has one, too.
  t, s = positions.shape[1], read.positions.shape[1]
  visible = jnp.arange(s) <= before + jnp.arange(t)[:, None]
  visible = visible[None, None]
  visible = visible & read.valid[:, None, None]
  if segments is not None:
    visible &= attention.segment_mask(segments, segments)
  distance = positions[:, None, :, None] - read.positions[:, None, None]
  return {
    window: visible if window is None else visible & (distance < window)
    for window in windows
  }


def spread(past: Any, rows: int) -> Any:
  """Arrays of which each row is shared by several neighbours, for all rows."""
  return jax.tree.map(lambda x: jnp.repeat(x, rows // len(x), axis=0), past)
