# SPDX-License-Identifier: Apache-2.0
"""Samplers compared over seeds: means, paired differences, intervals.

Two runs with the same seed share initialisation and order of the data as far
as they can, so differences are taken seed by seed; what the seeds have in
common cancels. All intervals are Student's, at 95%.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95


class Summary(NamedTuple):
  """Mean over seeds and sample standard deviation (n − 1; NaN for n < 2)."""

  mean: float
  std: float
  n: int


class Interval(NamedTuple):
  """A confidence interval at `LEVEL`."""

  low: float
  high: float


class Difference(NamedTuple):
  """Ours minus theirs over the seeds that both have; below 0, ours is lower.

  `interval` is None for fewer than two paired seeds.
  """

  mean: float
  std: float
  n: int
  seeds: tuple[int, ...]
  interval: Interval | None


class Speedup(NamedTuple):
  """Speed-up over seeds; mean and interval only if every run reached Full.

  A mean over the runs that got there would leave out exactly the bad ones.
  """

  mean: float | None
  std: float | None
  interval: Interval | None
  seeds: tuple[int, ...]
  reached: int
  total: int


class Verdict(enum.Enum):
  """What the interval of a difference in loss allows to be said."""

  BEATS = "beats"
  DOES_NOT_BEAT = "does_not_beat"
  UNDECIDED = "undecided"


def summarize(values: Sequence[float | int]) -> Summary:
  """Mean and sample standard deviation; NaN where a value is NaN or none is.

  A seed that diverged is not dropped: it makes the mean NaN.
  """
  numbers = np.asarray(values, np.float64)
  mean = float(numbers.mean()) if numbers.size else math.nan
  std = float(numbers.std(ddof=1)) if numbers.size > 1 else math.nan
  return Summary(mean, std, int(numbers.size))


def interval(values: Sequence[float | int]) -> Interval | None:
  """Student's interval of the mean: x̄ ± t₀.₉₇₅,ₙ₋₁ · s / √n.

  None for fewer than two values, and where one is not finite.
  """
  mean, std, count = summarize(values)
  if count < 2 or not math.isfinite(mean):
    return None
  quantile = float(special.stdtrit(count - 1, (1.0 + LEVEL) / 2.0))
  half = quantile * std / math.sqrt(count)
  return Interval(mean - half, mean + half)


def paired_difference(
  ours: Mapping[int, float], theirs: Mapping[int, float]
) -> Difference:
  """Mean of ours − theirs over the seeds that both mappings have.

  Args:
    ours: seed -> final loss.
    theirs: seed -> final loss of the sampler compared with.

  Returns:
    The difference; mean NaN and n = 0 where no seed is shared.
  """
  seeds = tuple(sorted(set(ours) & set(theirs)))
  differences = [ours[seed] - theirs[seed] for seed in seeds]
  mean, std, count = summarize(differences)
  return Difference(mean, std, count, seeds, interval(differences))


def summarize_speedups(speedups: Mapping[int, float | None]) -> Speedup:
  """Aggregates the speed-ups of one sampler's runs (seed -> speed-up or None).

  The interval is over this sampler's seeds; Full's mean final loss, the
  target, is taken as given.
  """
  seeds = tuple(sorted(speedups))
  reached = [speedups[seed] for seed in seeds if speedups[seed] is not None]
  if not seeds or len(reached) < len(seeds):
    return Speedup(None, None, None, seeds, len(reached), len(seeds))
  mean, std, count = summarize(reached)
  return Speedup(mean, std, interval(reached), seeds, count, count)


def judge_difference(difference: Difference) -> Verdict:
  """BEATS if the whole interval is below 0, DOES_NOT_BEAT if it is above 0.

  UNDECIDED if it holds 0 or does not exist.
  """
  bounds = difference.interval
  if bounds is None:
    return Verdict.UNDECIDED
  if bounds.high < 0.0:
    return Verdict.BEATS
  return Verdict.DOES_NOT_BEAT if bounds.low > 0.0 else Verdict.UNDECIDED
