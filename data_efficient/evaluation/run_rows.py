# SPDX-License-Identifier: Apache-2.0
"""The rows of single runs in `results.json`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_efficient.evaluation import comparison, convergence, names
from data_efficient.evaluation.measures import HQ_LOSS, IN_DISTRIBUTION_LOSS
from data_efficient.evaluation.runs import Run
from data_efficient.evaluation.scoring_shares import Scoring

LOSSES = (HQ_LOSS, IN_DISTRIBUTION_LOSS)
KEPT = ("kept_fraction", "kept_tokens", "kept_records", "epochs")
_ROUNDING = 1e-12
_PREFIXES = {HQ_LOSS: "", IN_DISTRIBUTION_LOSS: "in_distribution_"}


class Measured(NamedTuple):
  """A run, with where it ends and when it gets where Full ends.

  Attributes:
    run: the run.
    network: the name of its network.
    scoring: what stands behind it; None where that is not known.
    finals: metric -> final value.
    steps_to_full: metric -> first step at which Full's mean final value is
      reached, None for never; of the metrics that have a curve.
  """

  run: Run
  network: str
  scoring: Scoring | None
  finals: dict[str, float]
  steps_to_full: dict[str, float | None]

  @property
  def key(self) -> tuple[str, str, float | None]:
    """What the runs of one sampler row have in common."""
    return self.network, self.run.sampler, self.run.budget

  def seconds(self, steps: float) -> float:
    """Seconds of training for some of its steps, all of which cost alike."""
    return self.run.training_seconds * steps / self.run.steps


def finals_of(runs: Sequence[Measured], metric: str) -> dict[int, float]:
  """Seed -> final value."""
  return {each.run.seed: each.finals[metric] for each in runs}


def mean_final(runs: Sequence[Measured], metric: str) -> float:
  """Mean over seeds; NaN where there is no run."""
  return comparison.summarize(list(finals_of(runs, metric).values())).mean


def target(runs: Sequence[Run]) -> dict[str, Any]:
  """Mean final values of Full's runs of one network, and their seeds.

  A metric that one of them lacks has no target. Both losses always stand
  there; NaN where there is no run of Full.
  """
  full = [run for run in runs if run.sampler == names.FULL]
  finals = [{m: each.final for m, each in r.measures.items()} for r in full]
  shared = [m for m in finals[0] if all(m in f for f in finals)] if full else []
  means = {
    metric: comparison.summarize([final[metric] for final in finals]).mean
    for metric in dict.fromkeys((*LOSSES, *shared))
  }
  return {**means, "seeds": [run.seed for run in full]}


def measure(
  run: Run,
  *,
  network: str,
  target: Mapping[str, Any],
  scoring: Scoring | None,
) -> Measured:
  """Where a run ends, and when it reaches `target`, that of its network."""
  steps_to_full: dict[str, float | None] = {}
  for metric, each in run.measures.items():
    if metric in target and each.has_curve:
      # The mean of equal values may be off by rounding.
      goal = target[metric] * each.sign + _ROUNDING * abs(target[metric])
      steps_to_full[metric] = convergence.steps_to_reach(each.falling, goal)
  finals = {metric: each.final for metric, each in run.measures.items()}
  return Measured(run, network, scoring, finals, steps_to_full)


def row(measured: Measured) -> dict[str, Any]:
  """The run's entry in results.json."""
  run, scoring = measured.run, measured.scoring
  found = {
    "network": measured.network,
    **{"sampler": run.sampler, "budget": run.budget, "seed": run.seed},
    **{field: getattr(run, field) for field in KEPT},
    "training_seconds": run.training_seconds,
    "scoring_seconds": scoring.alone if scoring else None,
    "amortised": scoring.amortised if scoring else None,
    "commit": run.commit,
    "steps": run.hq.steps,
  }
  for loss in LOSSES:
    curve = run.measures[loss].curve
    reached = measured.steps_to_full[loss]
    found[loss] = curve.losses
    found[f"mean_{loss}"] = convergence.mean_loss(curve)
    found[f"final_{loss}"] = measured.finals[loss]
    found[f"{_PREFIXES[loss]}steps_to_full"] = reached
    found[f"{_PREFIXES[loss]}speedup"] = convergence.speedup(
      reached, steps=run.steps
    )
  return found | _costs_to_full(measured)


def _costs_to_full(measured: Measured) -> dict[str, float | None]:
  """What it took to reach Full's HQ loss; null where it never did."""
  steps, scoring = measured.steps_to_full[HQ_LOSS], measured.scoring
  tokens = measured.run.step_tokens
  seconds = None if steps is None else measured.seconds(steps)

  def with_scoring(share: str) -> float | None:
    if seconds is None or scoring is None:
      return None
    return seconds + getattr(scoring, share)

  return {
    "tokens_to_full": None if None in (steps, tokens) else steps * tokens,
    "seconds_to_full": seconds,
    "seconds_to_full_with_scoring": with_scoring("alone"),
    "seconds_to_full_with_scoring_amortised": with_scoring("amortised"),
  }
