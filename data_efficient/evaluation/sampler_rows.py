# SPDX-License-Identifier: Apache-2.0
"""The rows of samplers in `results.json`: their runs over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.evaluation import (
  comparison,
  convergence,
  convergence_rows,
  names,
  scaling,
)
from data_efficient.evaluation.measures import (
  HQ_LOSS,
  IN_DISTRIBUTION_LOSS,
  SUITES_VALIDATION,
  Kind,
)
from data_efficient.evaluation.run_rows import (
  KEPT,
  LOSSES,
  Measured,
  finals_of,
  mean_final,
)

Runs = Sequence[Measured]
_PERPLEXITIES = {
  "hq_perplexity": HQ_LOSS,
  "in_distribution_perplexity": IN_DISTRIBUTION_LOSS,
}


class Beside(NamedTuple):
  """What the runs of one sampler and budget are set beside.

  Attributes:
    random: Random's at the same budget.
    baseline: the Classifier's at the same budget.
    full: Full's.
    larger: Full's of the next larger network; empty where there is none.
    curve: of Full's losses by size; the reason where there is none.
  """

  random: Runs
  baseline: Runs
  full: Runs
  larger: Runs
  curve: scaling.SizeCurve | str


def row(runs: Runs, beside: Beside) -> dict[str, Any]:
  """The entry in results.json of one network, sampler and budget."""
  network, sampler, budget = runs[0].key
  full, random = beside.full, beside.random
  return {
    "network": network,
    "sampler": sampler,
    "budget": budget,
    "seeds": [each.run.seed for each in runs],
    **{field: _mean(runs, field) for field in KEPT},
    **{loss: _summary(finals_of(runs, loss)) for loss in LOSSES},
    **_perplexities(runs),
    "suites": _suites(runs),
    "against_random": (
      None if sampler == names.RANDOM else _against(runs, random)
    ),
    "against_full": None if sampler == names.FULL else _against(runs, full),
    "against_quality_classifier": (
      None
      if sampler == names.QUALITY_CLASSIFIER
      else _against(runs, beside.baseline)
    ),
    "verdict": _verdict(sampler, runs, random),
    "steps_to_full": _steps_to_full(
      runs, target=convergence_rows.has_target(full, HQ_LOSS)
    ),
    "speedup": _speedup(runs, HQ_LOSS),
    "in_distribution_speedup": _speedup(runs, IN_DISTRIBUTION_LOSS),
    "convergence": convergence_rows.by_metric(runs, full),
    **_over_scaling(runs, beside),
    "effective_model_size": _effective_size(runs, beside.curve),
    "training_seconds": _mean(runs, "training_seconds"),
    "scoring_seconds": runs[0].scoring.alone if runs[0].scoring else None,
  }


def hq_interval(runs: Runs) -> comparison.Interval | None:
  """Student's interval of the mean final HQ loss."""
  return comparison.interval(list(finals_of(runs, HQ_LOSS).values()))


def _mean(runs: Runs, field: str) -> float:
  values = [float(getattr(each.run, field)) for each in runs]
  return comparison.summarize(values).mean


def _summary(finals: Mapping[int, float]) -> dict[str, Any]:
  return comparison.summarize(list(finals.values()))._asdict()


def _perplexities(runs: Runs) -> dict[str, Any]:
  """exp of the mean loss, and of its interval's ends: a geometric mean."""
  found = {}
  for name, loss in _PERPLEXITIES.items():
    finals = list(finals_of(runs, loss).values())
    bounds = comparison.interval(finals)
    found[name] = {
      "mean": _perplexity(comparison.summarize(finals).mean),
      "interval": [_perplexity(end) for end in bounds] if bounds else None,
    }
  return found


def _perplexity(loss: float) -> float:
  """exp(loss); infinite, and so null, where no number is so large."""
  with np.errstate(over="ignore"):
    return float(np.exp(loss))


def _of_suites(runs: Runs) -> list[str]:
  """Suites, and means of them, that all of these runs were asked."""
  return [
    name
    for name, measure in runs[0].run.measures.items()
    if measure.kind is not Kind.ALONG_TRAINING
    and name != SUITES_VALIDATION
    and all(name in each.finals for each in runs)
  ]


def _suites(runs: Runs) -> dict[str, Any]:
  found = {}
  for name in _of_suites(runs):
    finals = list(finals_of(runs, name).values())
    mean, bounds = (
      comparison.summarize(finals).mean,
      comparison.interval(finals),
    )
    found[name] = {"mean": mean, "interval": bounds}
  return found


def _difference(ours: Runs, theirs: Runs, loss: str) -> comparison.Difference:
  return comparison.paired_difference(
    finals_of(ours, loss), finals_of(theirs, loss)
  )


def _against(ours: Runs, theirs: Runs) -> dict[str, Any] | None:
  """Paired differences of losses and suites; None without runs to face."""
  if not theirs:
    return None
  everyone = (*ours, *theirs)
  suites = [
    name
    for name in _of_suites(ours)
    if all(name in each.finals for each in everyone)
  ]
  return {
    metric: _difference(ours, theirs, metric)._asdict()
    for metric in (*LOSSES, *suites)
  }


def _verdict(sampler: str, ours: Runs, random: Runs) -> str | None:
  """Against Random at the same budget on HQ loss; None without such runs."""
  if sampler in (names.FULL, names.RANDOM) or not random:
    return None
  return comparison.judge_difference(_difference(ours, random, HQ_LOSS)).value


def _steps_to_full(runs: Runs, *, target: bool) -> dict[str, Any]:
  """Over seeds; restricted ones are null where Full has no final loss."""
  reached = convergence_rows.reached(runs, HQ_LOSS)
  all_did = len(reached) == len(runs)
  restricted = convergence_rows.restricted(runs, HQ_LOSS)
  return {
    "mean": comparison.summarize(reached).mean if all_did else None,
    "reached": len(reached),
    "total": len(runs),
    "restricted_mean": (
      comparison.summarize(restricted).mean if target else None
    ),
    "restricted_interval": comparison.interval(restricted) if target else None,
  }


def _speedup(runs: Runs, loss: str) -> dict[str, Any]:
  speedups = {
    each.run.seed: convergence.speedup(
      each.steps_to_full[loss], steps=each.run.steps
    )
    for each in runs
  }
  return comparison.summarize_speedups(speedups)._asdict()


def _over_scaling(runs: Runs, beside: Beside) -> dict[str, Any]:
  """Of each metric that all runs have, and of their average."""
  if not beside.larger or not beside.full:
    return {"over_scaling": None, "over_scaling_average": None}
  everyone = (*runs, *beside.full, *beside.larger)
  found, averaged = {}, []
  for metric, measure in runs[0].run.measures.items():
    if not all(metric in each.finals for each in everyone):
      continue
    ours, full, larger = (
      finals_of(group, metric) for group in (runs, beside.full, beside.larger)
    )
    each = scaling.over_scaling(ours, full, larger, sign=measure.sign)
    found[metric] = each.describe()
    # Means of suites would count these twice.
    if each.by_seed and measure.kind is not Kind.MEAN_OF_SUITES:
      averaged.append(each.by_seed)
  values = list(scaling.average(averaged).values())
  average = {
    "mean": comparison.summarize(values).mean,
    "interval": comparison.interval(values),
    "metrics": len(averaged),
  }
  return {"over_scaling": found, "over_scaling_average": average}


def _effective_size(
  runs: Runs, curve: scaling.SizeCurve | str
) -> dict[str, Any]:
  return scaling.effective_size(
    curve, mean_final(runs, HQ_LOSS), hq_interval(runs)
  )
