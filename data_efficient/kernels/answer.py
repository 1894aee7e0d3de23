# SPDX-License-Identifier: Apache-2.0
"""The probability that a network gives one answer, however many pieces it has.

A tokenizer may split "yes" into several pieces. The answer's probability is
the product over all its pieces, each step fed the pieces before it; the first
piece alone is the probability of every word that begins like the answer.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from data_efficient.kernels import likelihood

Pieces = Int[Array, " p"] | Int[np.ndarray, " p"]
Logits = Float[Array, "b t v"] | Float[np.ndarray, "b t v"]


@jax.jit
def log_probability(logits: Logits, pieces: Pieces) -> Float[Array, " b"]:
  """Log-probability of the whole answer, teacher-forced.

    log P(answer | prompt) = Σⱼ log softmax(logitsⱼ)[pieceⱼ]

  The softmax runs over the whole vocabulary at each step. No end-of-sequence
  token is asked for: append it to `pieces` if it should count.

  Args:
    logits: of the decoder steps fed the start token 0 and then the pieces,
      in order. Steps after the last piece are ignored, so that answers of
      different lengths can share one padded shape.
    pieces: token ids of the answer, at least one, each in [0, v); an id
      outside gives nan.

  Returns:
    Nats, float32, at most 0.

  Raises:
    ValueError: no pieces, or more pieces than decoder steps.
  """
  steps, length = logits.shape[1], pieces.shape[0]
  if not 1 <= length <= steps:
    raise ValueError(
      f"an answer of {length} pieces with logits of {steps} decoder steps:"
      " expected at least one piece, and a step for each of them"
    )
  targets = jnp.broadcast_to(
    jnp.asarray(pieces)[None, :], (logits.shape[0], length)
  )
  tokens = likelihood.token_log_likelihoods(logits[:, :length], targets)
  return tokens.sum(axis=-1)
