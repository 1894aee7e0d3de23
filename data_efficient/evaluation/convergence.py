# SPDX-License-Identifier: Apache-2.0
"""How low a run ends, and how soon it is where the full data ends.

The definitions of the report's two figures. HQ loss decides; the same
functions are applied to the in-distribution loss, which is shown beside it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from data_efficient.evaluation import comparison
from data_efficient.evaluation.measures import LAST_EVALUATIONS
from data_efficient.evaluation.runs import Curve, EvaluationError


class Savings(NamedTuple):
  """What runs spent until they were where Full ends, and what that saves.

  Attributes:
    reached: runs that got there.
    total: runs.
    seeds: those that Full has too.
    restricted_mean: spent a run, in the unit of what was given.
    restricted_interval: of that mean.
    speedup_mean: share of Full's own spending that was not needed, at most 1;
      below 0, more was.
    speedup_interval: of that mean; None for fewer than two seeds.
  """

  reached: int
  total: int
  seeds: tuple[int, ...]
  restricted_mean: float | None
  restricted_interval: comparison.Interval | None
  speedup_mean: float | None
  speedup_interval: comparison.Interval | None


def final_loss(curve: Curve) -> float:
  """Mean loss of the last three evaluations, in nats a token.

    final = (1/3) Σₖ lossₙ₋ₖ,  k = 0, 1, 2

  One evaluation carries the noise of the last few batches; three carry less.
  NaN if one of the three is NaN: a run that diverged has no final loss.

  Raises:
    EvaluationError: the curve has fewer than three evaluations.
  """
  count = len(curve.losses)
  if count < LAST_EVALUATIONS:
    raise EvaluationError(
      f"a final loss is the mean of the last {LAST_EVALUATIONS} evaluations, "
      f"but the run has {count}; evaluate more often"
    )
  return float(np.mean(curve.losses[-LAST_EVALUATIONS:]))


def steps_to_reach(curve: Curve, target: float) -> float | None:
  """First step at which the loss is at or below the target, or None.

  Between two evaluations the loss is taken as a straight line:

    step = sᵢ₋₁ + (sᵢ − sᵢ₋₁) · (lossᵢ₋₁ − target) / (lossᵢ₋₁ − lossᵢ)

  with i the first evaluation at or below the target. `steps_to_full` is this
  with the mean final loss of the full data's runs as the target. A first
  crossing favours noisy curves a little: the full data's own runs reach their
  mean before they end, and show by how much.
  """
  below = np.flatnonzero(curve.losses <= target)
  if not below.size:
    return None
  index = int(below[0])
  step, loss = float(curve.steps[index]), curve.losses[index]
  # A NaN before the crossing leaves nothing to draw the line from.
  if index == 0 or not np.isfinite(curve.losses[index - 1]):
    return step
  before, above = float(curve.steps[index - 1]), curve.losses[index - 1]
  return float(before + (step - before) * (above - target) / (above - loss))


def speedup(steps_to_full: float | None, *, steps: int) -> float | None:
  """Share of the training that was not needed: 1 − steps_to_full / steps.

  In [0, 1]; None where the run never reached the target.

  Raises:
    EvaluationError: the run has no steps.
  """
  if steps < 1:
    raise EvaluationError(f"a run of {steps} steps has no speed-up")
  return None if steps_to_full is None else 1.0 - steps_to_full / steps


def mean_loss(curve: Curve) -> float:
  """Area under the curve over its steps: trapezoids, in nats a token.

  NaN where the run diverged, and where there is only one evaluation.
  """
  length = float(curve.steps[-1] - curve.steps[0])
  if length <= 0.0:
    return float("nan")
  return float(np.trapezoid(curve.losses, curve.steps)) / length


def restricted_steps(steps_to_full: float | None, *, steps: int) -> float:
  """min(steps_to_full, steps): a run that never got there is censored.

  The mean of this over seeds, the restricted mean, drops no run; it is a lower
  bound of the mean steps to Full, and equals it where all got there.
  """
  return float(steps) if steps_to_full is None else steps_to_full


def savings(
  spent: Mapping[int, float], full: Mapping[int, float], *, reached: int
) -> Savings:
  """How much sooner runs are where Full ends than Full itself is.

  A run spends Tₛ (of seed s, in steps, tokens or seconds) until its curve
  first meets Full's mean final value; if it never does, all that it had: it is
  censored, not dropped, so that the mean is a lower bound (`restricted_steps`).
  Full's own runs meet their mean final value before they end, or never, and
  are counted alike. Over the seeds that both have, relative to Full's mean
  over all of its seeds,

    speed-up = meanₛ(T^Full_s − Tₛ) / mean(T^Full)

  with Student's interval of these paired differences; the denominator is taken
  as given. The paper's 44% (HQ perplexity), 70% (GLUE) and 50% (SuperGLUE) of
  Ask-LLM at 60% of the data are this measure (Sachdeva et al. 2024, arXiv
  2402.09668, Figure 1: one run each, in tokens, scoring not counted).

  Args:
    spent: seed -> Tₛ of one sampler.
    full: seed -> that of Full, of the same network.
    reached: how many of the sampler's runs got there.
  """
  saved = comparison.paired_difference(full, spent)
  base = comparison.summarize(list(full.values())).mean
  values = list(spent.values())
  mean = bounds = None
  if saved.n and base > 0.0:
    mean = saved.mean / base
    if saved.interval:
      low, high = saved.interval
      bounds = comparison.Interval(low / base, high / base)
  return Savings(
    reached=reached,
    total=len(values),
    seeds=saved.seeds,
    restricted_mean=comparison.summarize(values).mean,
    restricted_interval=comparison.interval(values),
    speedup_mean=mean,
    speedup_interval=bounds,
  )
