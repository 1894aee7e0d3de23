# SPDX-License-Identifier: Apache-2.0
"""SelectIT's score: ratings, and how sure a model is of them.

With P(k) the probability of rating k of K, P′ the same over the scale alone:

  token      S_t = b · Σ_k |P′(b) − P′(k)| / (K − 1),   b = argmax_k P′(k)
  sentence   S_s = mean S_t / (1 + α · std S_t),        over rating prompts
  model      S   = Σ_m θ_m S_s(m) / Σ_m θ_m,            θ_m parameters of m

(Liu et al. 2024, arXiv 2402.16705, Section 3.) A tie goes to the lower rating;
the standard deviation is that of the prompts as a population. All in float64,
on the host: a handful of numbers a record.
"""

import enum

import numpy as np
from jaxtyping import Float, Int


class Normalisation(enum.StrEnum):
  """How P becomes P′.

  SHARE is P(k) / Σ P. SOFTMAX_OF_SHARES is exp(share) / Σ exp(share), which the
  method's public code computes: it never says more than e / (e + K − 1).
  """

  SHARE = "share"
  SOFTMAX_OF_SHARES = "softmax_of_shares"


def over_scale(
  log_probabilities: Float[np.ndarray, "*n k"], normalisation: Normalisation
) -> Float[np.ndarray, "*n k"]:
  """P′ of each rating; sums to 1.

  Args:
    log_probabilities: of the ratings, nats, over the whole vocabulary.
    normalisation: how.
  """
  found = np.asarray(log_probabilities, np.float64)
  found = np.exp(found - found.max(axis=-1, keepdims=True))
  shares = found / found.sum(axis=-1, keepdims=True)
  if normalisation == Normalisation.SHARE:
    return shares
  raised = np.exp(shares)
  return raised / raised.sum(axis=-1, keepdims=True)


def base(probabilities: Float[np.ndarray, "*n k"]) -> Int[np.ndarray, "*n"]:
  """b: the likeliest rating, from 1 to K."""
  return np.asarray(probabilities.argmax(axis=-1) + 1)


def token_level(
  probabilities: Float[np.ndarray, "*n k"],
) -> Float[np.ndarray, "*n"]:
  """S_t of each rating prompt, in [0, K]."""
  highest = probabilities.max(axis=-1, keepdims=True)
  distance = np.abs(highest - probabilities).sum(axis=-1)
  return np.asarray(
    base(probabilities) * distance / (probabilities.shape[-1] - 1)
  )


def sentence_level(
  tokens: Float[np.ndarray, "*n p"], *, alpha: float
) -> Float[np.ndarray, "*n"]:
  """S_s, of S_t by rating prompt."""
  return np.asarray(tokens.mean(axis=-1) / (1 + alpha * tokens.std(axis=-1)))


def model_level(
  sentences: Float[np.ndarray, "*n m"], parameters: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "*n"]:
  """S, of S_s by model.

  Args:
    sentences: S_s.
    parameters: how many each model has, at least 1.
  """
  return np.asarray(sentences @ (parameters / parameters.sum()))
