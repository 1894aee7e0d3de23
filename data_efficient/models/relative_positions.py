# SPDX-License-Identifier: Apache-2.0
"""T5's position bias: a number for each head and bucket of distances."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen import partitioning
from jaxtyping import Array, Float, Int


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
    # Keys at and after the first query, then (0 between) those before the last.
    distances = np.concatenate([buckets[0], buckets[:1, 0], buckets[-1, :-1]])
    return _diagonals(jnp.take(table, distances, axis=1), length)[None]


def _diagonals(
  values: Float[Array, "h n"], length: int
) -> Float[Array, "h q k"]:
  """The matrices [query, key] with `values[(key − query) mod n]`, n = 2·length.

  Rows of n values, cut anew into rows of n − 1, each begin one value earlier.
  The gradient is a sum along diagonals; that of a lookup for each pair would
  add length² numbers one by one, which TPUs are slow at.
  """
  heads, period = values.shape
  rows = jnp.broadcast_to(values[:, None], (heads, length, period))
  flat = rows.reshape(heads, -1)[:, : length * (period - 1)]
  return flat.reshape(heads, length, period - 1)[:, :, :length]
