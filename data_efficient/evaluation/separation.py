# SPDX-License-Identifier: Apache-2.0
"""How well a score tells two sets of records apart."""

from collections.abc import Sequence

import numpy as np


def auc(positives: Sequence[np.ndarray], negatives: Sequence[np.ndarray]):
  """P(score of a positive > score of a negative), ties counting one half.

  The area under the ROC curve: 0.5 says nothing, 1.0 is perfect.

  Args:
    positives: arrays of scores, joined; NaN (no score) is left out.
    negatives: likewise.

  Returns:
    In [0, 1]; None if one of the sets has no score.
  """
  high, low = _joined(positives), _joined(negatives)
  if not len(high) or not len(low):
    return None
  low = np.sort(low)
  below = np.searchsorted(low, high, side="left")
  not_above = np.searchsorted(low, high, side="right")
  return float((below + not_above).mean() / (2 * len(low)))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
  values = np.concatenate([np.asarray(part, np.float64) for part in parts])
  return values[~np.isnan(values)]
