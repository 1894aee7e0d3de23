# SPDX-License-Identifier: Apache-2.0
"""How soon the runs of one sampler are where Full ends, in every unit."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from data_efficient.evaluation import convergence
from data_efficient.evaluation.run_rows import Measured, mean_final

Runs = Sequence[Measured]


def has_target(full: Runs, metric: str) -> bool:
  """Whether all of Full's runs, and one at least, have a final value."""
  return bool(full) and math.isfinite(mean_final(full, metric))


def restricted(runs: Runs, metric: str) -> list[float]:
  """Steps of each run to Full's final value; all it had, where it never was."""
  return [
    convergence.restricted_steps(
      each.steps_to_full[metric], steps=each.run.steps
    )
    for each in runs
  ]


def reached(runs: Runs, metric: str) -> list[float]:
  """Steps to Full's final value, of the runs that got there."""
  steps = [each.steps_to_full[metric] for each in runs]
  return [step for step in steps if step is not None]


def _tokens(each: Measured, steps: float) -> float | None:
  tokens = each.run.step_tokens
  return None if tokens is None else steps * tokens


def _with_scoring(each: Measured, steps: float, share: str) -> float | None:
  if each.scoring is None:
    return None
  return each.seconds(steps) + getattr(each.scoring, share)


# What a run has spent after some of its steps; None where it is not known.
_UNITS: dict[str, Callable[[Measured, float], float | None]] = {
  "steps": lambda each, steps: steps,
  "tokens": _tokens,
  "seconds": lambda each, steps: each.seconds(steps),
  "seconds_with_scoring": lambda each, steps: _with_scoring(
    each, steps, "alone"
  ),
  "seconds_with_scoring_amortised": lambda each, steps: _with_scoring(
    each, steps, "amortised"
  ),
}


def by_metric(runs: Runs, full: Runs) -> dict[str, Any]:
  """Of each metric that all of these runs and all of Full's have a curve of."""
  found = {}
  for metric in runs[0].steps_to_full:
    everywhere = all(metric in each.steps_to_full for each in (*runs, *full))
    if everywhere and has_target(full, metric):
      found[metric] = _savings(runs, full, metric)
  return found


def _savings(runs: Runs, full: Runs, metric: str) -> dict[str, Any]:
  """By unit; None where it is not known what some run spent of it."""
  steps = [
    list(zip(g, restricted(g, metric), strict=True)) for g in (runs, full)
  ]
  arrived = len(reached(runs, metric))
  found: dict[str, Any] = {}
  for unit, spent in _UNITS.items():
    ours, theirs = (
      {each.run.seed: spent(each, count) for each, count in group}
      for group in steps
    )
    known = None not in ours.values() and None not in theirs.values()
    savings = (
      convergence.savings(ours, theirs, reached=arrived) if known else None
    )
    found[unit] = savings._asdict() if savings else None
  return found
