# SPDX-License-Identifier: Apache-2.0
"""Importance weights: what a kept record stands for in a sample.

A record that was likely to be kept stands for itself, an unlikely one for many
like it: its weight is one over the probability with which it was kept. So a
weighted mean over the sample estimates the plain mean over all records that
could have been kept, whatever the sampling weights were. (The sample of
inverse propensity, which is even over the support, then weighs as the corpus
does: use these weights to sample against density and still train on the
corpus's own loss, with less variance where it is rare.)
"""

import enum

import numpy as np
from jaxtyping import Float64, Int64

from data_efficient.kernels import sampling
from data_efficient.selection import ranking


class Weights(enum.StrEnum):
  """What a kept record weighs: 1, or its `importance`."""

  NONE = "none"
  IMPORTANCE = "importance"


def weights(
  cut: ranking.Cut,
  log_weights: Float64[np.ndarray, " k"],
  amounts: Int64[np.ndarray, " k"] | None,
) -> Float64[np.ndarray, " k"]:
  """Returns 1/pᵢ of kept records.

  p is `sampling.inclusion_probabilities`, given the other records' keys
  (`ranking.Cut.thresholds`). Divide by its mean over all that are kept.

  Args:
    cut: of a ranking by log wᵢ + gumbelᵢ.
    log_weights: log wᵢ of the kept records.
    amounts: what each counts in the budget; None: 1 each.
  """
  counts = np.ones(len(log_weights), np.int64) if amounts is None else amounts
  return 1 / sampling.inclusion_probabilities(
    log_weights, cut.thresholds(counts)
  )
