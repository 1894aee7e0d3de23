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

from data_efficient.kernels import sampling
from data_efficient.selection import budget as budgets
from data_efficient.selection import interface


class Weights(enum.StrEnum):
  """What a kept record weighs: 1, or its `importance`."""

  NONE = "none"
  IMPORTANCE = "importance"


def weights(
  priorities: interface.ByShard,
  log_weights: interface.ByShard | None,
  budget: budgets.Budget,
  tokens: interface.GivenByShard | None = None,
) -> interface.ByShard:
  """One weight a kept record, in the order of `budget.cut`.

  1/pᵢ with `sampling.inclusion_probabilities`, given the other records' keys
  (`budget.thresholds`), divided by its mean over the kept records.

  Args:
    priorities: log wᵢ + gumbelᵢ where there are sampling weights.
    log_weights: of the selector; None where nothing is sampled.
    budget: where the ranking is cut.
    tokens: for budgets of tokens.

  Returns:
    float64, positive, of mean 1; exactly 1 where nothing is sampled, or all
    sampling weights are equal.

  Raises:
    SelectionError: as `budget.cut`.
  """
  kept = budgets.cut(priorities, budget, tokens)
  if log_weights is None or _all_equal(log_weights):
    return {shard: np.ones(len(rows)) for shard, rows in kept.items()}
  thresholds = budgets.thresholds(priorities, budget, tokens)
  inverse = {
    shard: 1
    / sampling.inclusion_probabilities(
      log_weights[shard][rows], thresholds[shard]
    )
    for shard, rows in kept.items()
  }
  mean = np.concatenate(list(inverse.values())).mean()
  return {shard: values / mean for shard, values in inverse.items()}


def _all_equal(log_weights: interface.ByShard) -> bool:
  values = np.concatenate(list(log_weights.values()))
  values = values[~np.isnan(values)]
  return bool(np.all(values == values[:1]))
