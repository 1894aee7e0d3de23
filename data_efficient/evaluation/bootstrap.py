# SPDX-License-Identifier: Apache-2.0
"""Intervals over targets: percentiles of bootstrap samples, 95%.

What is summed over targets (a value, the products of a correlation) is summed
again with other numbers of each: no pair is looked at twice.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int

LEVEL = 0.95
# How often each target is in each sample.
Weights = Float64[np.ndarray, "b i"]


def drawn(targets: int, *, resamples: int, seed: int) -> Weights:
  """Draws samples of the targets, as many as there are, with replacement."""
  random = np.random.default_rng(seed)
  share = np.full(targets, 1 / targets)
  found = random.multinomial(targets, share, size=resamples)
  return found.astype(np.float64)


def share(
  part: Float[np.ndarray, " i"],
  whole: Float[np.ndarray, " i"],
  weights: Weights,
) -> dict[str, Any]:
  """Σ part / Σ whole over targets, and its interval; null of nothing."""
  total = float(whole.sum())
  if total <= 0:
    return {"value": None, "interval": None}
  with np.errstate(invalid="ignore", divide="ignore"):
    found = (weights @ part) / (weights @ whole)
  return {"value": float(part.sum()) / total, "interval": interval(found)}


def interval(values: Float64[np.ndarray, " b"]) -> list[float] | None:
  """Percentiles that hold `LEVEL` of some values; None if one is not finite."""
  if not np.isfinite(values).all():
    return None
  tail = 100 * (1 - LEVEL) / 2
  return np.percentile(values, [tail, 100 - tail]).tolist()


def correlation(
  first: Float64[np.ndarray, " k"],
  second: Float64[np.ndarray, " k"],
  rows: Int[np.ndarray, " k"],
  weights: Weights,
  *,
  within: bool = False,
) -> dict[str, Any]:
  """Pearson's correlation, and its interval over targets.

  Args:
    first: of each pair.
    second: of each pair.
    rows: its target.
    weights: how often each target is in each bootstrap sample.
    within: of differences from each target's mean: whether the examples of a
      target are told apart, and not targets from one another.

  Returns:
    {"value", "interval": [low, high]}; null where one is constant.
  """
  count = weights.shape[1]
  x, y = first - first.mean(), second - second.mean()

  def summed(values: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " i"]:
    return np.bincount(rows, values, minlength=count)

  n, sums = np.bincount(rows, minlength=count), (summed(x), summed(y))
  if within:
    least = np.maximum(n, 1)
    x, y = x - (sums[0] / least)[rows], y - (sums[1] / least)[rows]
    sums = np.zeros(count), np.zeros(count)
  parts = np.stack(
    [n, *sums, summed(x * x), summed(y * y), summed(x * y)], axis=1
  )
  tiny = 1e-12 * np.array([first @ first, second @ second])
  value = _from_sums(parts.sum(axis=0)[None], tiny)[0]
  if np.isnan(value):
    return {"value": None, "interval": None}
  return {
    "value": float(value),
    "interval": interval(_from_sums(weights @ parts, tiny)),
  }


def _from_sums(
  sums: Float64[np.ndarray, "b 6"], tiny: Float64[np.ndarray, " 2"]
) -> Float64[np.ndarray, " b"]:
  n, x, y, xx, yy, xy = sums.T
  with np.errstate(invalid="ignore", divide="ignore"):
    spread = xx - x * x / n, yy - y * y / n
    found = (xy - x * y / n) / np.sqrt(spread[0] * spread[1])
  constant = (spread[0] <= tiny[0]) | (spread[1] <= tiny[1])
  return np.where(constant, np.nan, found)
