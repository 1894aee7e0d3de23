# SPDX-License-Identifier: Apache-2.0
"""How far a prediction is from an answer, and what an example brings nearer.

  U[i, j] = d(y_i | x_i) − d(y_i | x_j, y_j, x_i)

with p_t the teacher-forced probability of answer token t of N, by one of

  EUCLIDEAN   d = √(Σ_t (1 − p_t)² / N)     in [0, 1]; DELIFT's, Eq. 2
  MEAN        d = −Σ_t log p_t / N          nats a token
  SUM         d = −Σ_t log p_t              nats

With SUM, U is the conditional pointwise mutual information of y_i and
(x_j, y_j) given x_i (DELIFT, arXiv 2411.04425, Theorem 1), and the sum of what
the tokens give one by one. The theorem is not about EUCLIDEAN.
"""

import enum
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

LogProbabilities = Float[Array, "*b t"] | Float[np.ndarray, "*b t"]
Mask = Bool[Array, "*#b t"] | Bool[np.ndarray, "*#b t"]


class Distance(enum.StrEnum):
  """How far a prediction is from an answer; see the module."""

  EUCLIDEAN = "euclidean"
  MEAN = "mean_negative_log_likelihood"
  SUM = "sum_negative_log_likelihood"


@functools.partial(jax.jit, static_argnames="distance")
def distances(
  log_probabilities: LogProbabilities, mask: Mask, *, distance: Distance
) -> Float[Array, "*b"]:
  """Distance of each prediction from its answer.

  Args:
    log_probabilities: of the answer's tokens, nats; converted to float32.
    mask: true where a token is of the answer; nan under a false mask cannot
      leak.
    distance: which one.

  Returns:
    float32, from 0; nan for an answer without tokens, which is no distance.
  """
  found = jnp.asarray(log_probabilities).astype(jnp.float32)
  mask = jnp.broadcast_to(mask, found.shape)
  count = mask.sum(axis=-1).astype(jnp.float32)
  # 1 − p by expm1, which keeps its digits where p is nearly 1.
  euclidean = distance == Distance.EUCLIDEAN
  by_token = jnp.square(jnp.expm1(found)) if euclidean else -found
  total = jnp.where(mask, by_token, 0.0).sum(axis=-1)
  if euclidean:
    return jnp.sqrt(total / count)
  if distance == Distance.MEAN:
    return total / count
  return jnp.where(count > 0, total, jnp.nan)


@jax.jit
def utilities(
  alone: Float[Array, " i"] | Float[np.ndarray, " i"],
  given: Float[Array, "i j"] | Float[np.ndarray, "i j"],
) -> Float[Array, "i j"]:
  """U of a block: what each example brings each target nearer its answer.

  Args:
    alone: d(y_i | x_i) of each target.
    given: d(y_i | x_j, y_j, x_i), rows are targets, columns are examples.
  """
  return jnp.asarray(alone)[:, None] - given
