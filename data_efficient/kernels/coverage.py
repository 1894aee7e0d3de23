# SPDX-License-Identifier: Apache-2.0
"""Passes over rows: what covers that rise take from all candidates' gains.

The part of greedy facility location (`submodular`) that a host leaves to a
compiled loop: one read of each row, nothing stored but the sums.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_UNROLLED = 8  # rows that are added at once

Row = Float[Array, " i"] | Float[np.ndarray, " i"]


@jax.jit
def between(
  kernel: Float[Array, "i j"] | Float[np.ndarray, "i j"],
  rows: Int[Array, " i"] | Int[np.ndarray, " i"],
  count: Int[Array, ""] | Int[np.ndarray, ""],
  *,
  low: Row,
  high: Row,
  weight: Row,
) -> Float[Array, " j"]:
  """Σ over rows of w times what of s lies between two covers.

  Args:
    kernel: s.
    rows: which rows, and anything after them.
    count: how many of them.
    low: the lower cover of each row of the kernel.
    high: the higher one.
    weight: w.

  A pass over these rows with a sum that is compensated (Kahan 1965), so that
  it is good to some ten-millionths of itself for any number of rows.
  """
  low, high, weight = map(jnp.asarray, (low, high, weight))
  rows, kernel = jnp.asarray(rows), jnp.asarray(kernel)

  def some(chunk, sums):
    total, lost = sums
    found = jnp.zeros_like(total)
    for place in range(_UNROLLED):
      at = chunk * _UNROLLED + place
      row = rows[jnp.minimum(at, len(rows) - 1)]
      within = jnp.minimum(kernel[row], high[row]) - low[row]
      counted = jnp.where(at < count, weight[row], 0.0)
      found += counted * jnp.maximum(within, 0.0)
    found -= lost
    raised = total + found
    return raised, (raised - total) - found

  zeros = jnp.zeros(kernel.shape[1])
  chunks = -(-jnp.asarray(count) // _UNROLLED)
  return jax.lax.fori_loop(0, chunks, some, (zeros, zeros))[0]
