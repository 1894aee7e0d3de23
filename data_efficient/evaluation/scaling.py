# SPDX-License-Identifier: Apache-2.0
"""How much of a larger network a selection is worth.

Two measures of the paper. Over-scaling (Sachdeva et al. 2024, arXiv
2402.09668, Section 4 and Table 1) is in percent of the step to the next
network; effective model size (its later version) is the size at which all of
the data would do as well.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from data_efficient.evaluation import comparison

LOG_LINEAR = "log_linear"
POWER_LAW = "power_law"
# Exponents of the power law that are tried: scaling laws of language models
# have 0.05 to 0.5.
_EXPONENTS = np.geomspace(0.01, 4.0, 400)


class OverScaling(NamedTuple):
  """Percent: 0 is the full data's own quality, 100 the next network's.

  Attributes:
    by_seed: of each seed that the sampler shares with Full; empty where there
      is a reason.
    reason: why there is none; else None.
  """

  by_seed: dict[int, float]
  reason: str | None = None

  def describe(self) -> dict[str, Any]:
    """Its entry in results.json: mean and Student's interval over seeds."""
    values = list(self.by_seed.values())
    return {
      "mean": comparison.summarize(values).mean,
      "interval": comparison.interval(values),
      "seeds": list(self.by_seed),
      "reason": self.reason,
    }


def over_scaling(
  ours: Mapping[int, float],
  full: Mapping[int, float],
  larger: Mapping[int, float],
  *,
  sign: float,
) -> OverScaling:
  """Over-scaling of one metric, of each seed s that ours and Full share.

    100 · (oursₛ − fullₛ) / (mean(larger) − mean(full))

  The denominator is taken as given: intervals over seeds do not know how well
  it is known. The paper has one run of each.

  Args:
    ours: seed -> final value of the sampler's runs.
    full: seed -> that of Full's runs of the same network.
    larger: seed -> that of Full's runs of the next larger network.
    sign: 1.0 where lower is better, −1.0 where higher is.
  """
  seeds = sorted(set(ours) & set(full))
  if not seeds:
    return OverScaling({}, "no seed is shared with Full")
  gap = float(np.mean([*larger.values()]) - np.mean([*full.values()]))
  gains = {seed: ours[seed] - full[seed] for seed in seeds}
  if not np.isfinite([gap, *gains.values()]).all():
    return OverScaling({}, "a run has no final value")
  if gap * sign >= 0.0:
    reason = "Full's runs of the next larger network are not better"
    return OverScaling({}, reason)
  return OverScaling({seed: 100.0 * gain / gap for seed, gain in gains.items()})


def average(each: Sequence[Mapping[int, float]]) -> dict[int, float]:
  """Seed -> mean over metrics, of the seeds that all of them have."""
  shared = set.intersection(*(set(values) for values in each)) if each else ()
  return {
    seed: float(np.mean([values[seed] for values in each])) for seed in shared
  }


class SizeCurve(NamedTuple):
  """Loss L of all of the data by size N: falling, and so invertible.

  N are parameters without embeddings.

  `fit` is `LOG_LINEAR`, L = a − b·ln N, where there are two sizes, and
  `POWER_LAW`, L = e + a·N^(−b) with e ≥ 0, where there are more; a and b > 0.
  `sizes` are those that it was fitted to, with their losses.
  """

  fit: str
  a: float
  b: float
  e: float
  sizes: dict[int, float]

  def loss(self, parameters: float) -> float:
    """The loss of a size, in nats a token."""
    if self.fit == LOG_LINEAR:
      return self.a - self.b * math.log(parameters)
    return self.e + self.a * parameters**-self.b

  def size(self, loss: float) -> float | None:
    """The size of a loss; None where no size has so low a loss."""
    try:
      if self.fit == LOG_LINEAR:
        return math.exp((self.a - loss) / self.b)
      return (
        (self.a / (loss - self.e)) ** (1 / self.b) if loss > self.e else None
      )
    except OverflowError:
      return None

  def describe(self) -> dict[str, Any]:
    """Its entry in results.json."""
    return self._asdict()


def size_curve(sizes: Mapping[int, float]) -> SizeCurve | str:
  """Fits the curve; returns the reason where there is none.

  The power law is fitted by least squares: for each of many exponents a and e
  are those of the linear problem, and the best exponent is refined.

  Args:
    sizes: parameters -> Full's mean final loss.
  """
  found = {n: loss for n, loss in sorted(sizes.items()) if math.isfinite(loss)}
  if len(found) < 2:
    return f"needs Full's runs of two network sizes, there is {len(found)}"
  n, losses = np.array(list(found), np.float64), np.array([*found.values()])
  if len(found) == 2:
    slope = float(np.diff(losses)[0] / np.diff(np.log(n))[0])
    a, b, e = float(losses[0] - slope * np.log(n[0])), -slope, 0.0
    curve = SizeCurve(LOG_LINEAR, a, b, e, found)
  else:
    curve = _power_law(n, losses, found)
  if curve.b <= 0.0 or (curve.fit == POWER_LAW and curve.a <= 0.0):
    return "Full's loss does not fall with the size of the network"
  return curve


def _power_law(
  n: np.ndarray, losses: np.ndarray, sizes: dict[int, float]
) -> SizeCurve:
  # Sizes relative to their middle: powers of them stay near 1.
  middle = float(np.exp(np.log(n).mean()))

  def solved(exponent: float) -> tuple[float, float, float]:
    """Squared error, a and e for an exponent."""
    x = (n / middle) ** -exponent
    design = np.stack([x, np.ones_like(x)], axis=1)
    a, e = np.linalg.lstsq(design, losses, rcond=None)[0]
    if e < 0.0:
      a, e = x @ losses / (x @ x), 0.0
    error = losses - (a * x + e)
    return float(error @ error), float(a), float(e)

  errors = [solved(exponent)[0] for exponent in _EXPONENTS]
  best = int(np.argmin(errors))
  around = _EXPONENTS[[max(best - 1, 0), min(best + 1, len(errors) - 1)]]
  exponent = float(
    optimize.minimize_scalar(
      lambda each: solved(each)[0], bounds=tuple(around), method="bounded",
      options={"xatol": 1e-10},
    ).x
  )  # fmt: skip
  _, a, e = solved(exponent)
  return SizeCurve(POWER_LAW, a * middle**exponent, exponent, e, sizes)


def effective_size(
  curve: SizeCurve | str,
  mean: float,
  bounds: comparison.Interval | None,
) -> dict[str, Any]:
  """The size at which all of the data reaches a loss.

  The interval is the loss's, each end inverted: what the seeds of this sampler
  leave open, not what the fit does. An end that no size reaches is null.

  Args:
    curve: of Full's losses, or the reason why there is none.
    mean: mean final loss of a sampler's runs.
    bounds: its interval.

  Returns:
    {"parameters", "interval": [low, high], "extrapolated": whether it lies
    outside the sizes that were trained, "reason"}; parameters, interval and
    extrapolated null where there is a reason.
  """
  none = dict.fromkeys(("parameters", "interval", "extrapolated"))
  if isinstance(curve, str):
    return {**none, "reason": curve}
  if not math.isfinite(mean):
    return {**none, "reason": "a run has no final loss"}
  size = curve.size(mean)
  if size is None:
    reason = "no size of the fitted curve has so low a loss"
    return {**none, "reason": reason}
  ends = [curve.size(end) for end in reversed(bounds)] if bounds else None
  trained = list(curve.sizes)
  # A network's own loss inverts to its size but for rounding.
  inside = trained[0] * (1 - 1e-9) <= size <= trained[-1] * (1 + 1e-9)
  return {
    "parameters": size,
    "interval": ends,
    "extrapolated": not inside,
    "reason": None,
  }
