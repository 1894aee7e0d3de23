# SPDX-License-Identifier: Apache-2.0
"""Methods compared: means over seeds, and differences that are paired by seed.

Intervals are Student's, at 95% (`comparison`). Responses in context of equal
selections are one measurement: a method that does not depend on its seed has
one value, and no interval.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient.evaluation import comparison, names
from data_efficient.evaluation.comparison import Verdict
from data_efficient.evaluation.tuning.kept import Kept
from data_efficient.evaluation.tuning.metrics import METRICS
from data_efficient.evaluation.tuning.outcomes import Outcome

# In results.json: better or worse, whichever way the metric goes.
_WORDS = {
  Verdict.BEATS: "better",
  Verdict.DOES_NOT_BEAT: "worse",
  Verdict.UNDECIDED: "undecided",
}
_Group = dict[int, Outcome]  # by seed


def metrics(outcomes: Sequence[Outcome]) -> list[str]:
  """The metrics that any outcome has a value of, in the order of tables."""
  there = {
    name
    for each in outcomes
    for name, value in each.values.items()
    if math.isfinite(value)
  }
  return [name for name in METRICS if name in there]


def rows(
  outcomes: Sequence[Outcome], kept: Sequence[Kept]
) -> list[dict[str, Any]]:
  """A row a use, method and budget; see `results`."""
  groups: dict[tuple, _Group] = collections.defaultdict(dict)
  for each in outcomes:
    groups[each.use, each.key.method, each.key.budget][each.key.seed] = each
  measured, found = metrics(outcomes), []
  for (use, method, budget), group in groups.items():
    sets = [k for k in kept if k.key[:2] == (method, budget)]
    full = groups.get((use, names.FULL, 1.0), {})
    random = groups.get((use, names.RANDOM, budget), {})
    found.append(
      {
        "use": use,
        "method": method,
        "budget": budget,
        "seeds": sorted(group),
        **_sizes(sets),
        **_training(group),
        "metrics": {name: _summary(group, name) for name in measured},
        "against_random": _against(method, group, random, names.RANDOM),
        "against_full": _against(method, group, full, names.FULL),
      }
    )
  order = lambda row: (row["use"] != "tuned", *_order(row))  # noqa: E731
  return sorted(found, key=order)


def _order(row: Mapping[str, Any]) -> tuple:
  return names.order(row["method"], row["budget"])


def _sizes(sets: Sequence[Kept]) -> dict[str, float | None]:
  tokens = [each.tokens for each in sets]
  counted = bool(tokens) and None not in tokens
  return {
    "kept_records": _mean([each.records for each in sets]),
    "kept_tokens": _mean(tokens) if counted else None,
  }


def _training(group: _Group) -> dict[str, float | None]:
  runs = [each.run for each in group.values() if each.run]
  seen = [run["steps"] * run["batch_size"] for run in runs]
  records = [run.get("kept_records") for run in runs]
  known = bool(runs) and all(records)
  return {
    "training_seconds": _mean([run["training_seconds"] for run in runs]),
    "steps": _mean([run["steps"] for run in runs]),
    "epochs": _mean([s / r for s, r in zip(seen, records, strict=True)])
    if known
    else None,
  }


def _mean(values: Sequence[float | int]) -> float | None:
  return sum(values) / len(values) if values else None


def _summary(group: _Group, metric: str) -> dict[str, Any] | None:
  """Mean, deviation and interval over measurements."""
  values = {
    e.draw: e.values[metric] for e in group.values() if metric in e.values
  }
  if not values:
    return None
  numbers = list(values.values())
  mean, std, count = comparison.summarize(numbers)
  bounds = comparison.interval(numbers)
  return {
    "mean": _finite(mean),
    "std": _finite(std),
    "n": count,
    "interval": bounds and list(bounds),
  }


def _finite(value: float) -> float | None:
  """None for what there is not: of one seed, or of a run that diverged."""
  # Zero has no sign.
  return value + 0.0 if math.isfinite(value) else None


def _against(
  method: str, ours: _Group, theirs: _Group, other: str
) -> dict[str, Any]:
  """Metric -> ours less theirs; empty for the other itself."""
  if method == other or not theirs:
    return {}
  found = {name: difference(ours, theirs, name) for name in METRICS}
  return {name: row for name, row in found.items() if row}


def difference(
  ours: _Group, theirs: _Group, metric: str
) -> dict[str, Any] | None:
  """Ours less theirs over the seeds of both; None where there is no such seed.

  Returns:
    {"mean", "std", "n", "seeds", "interval", "verdict": "better", "worse" or
    "undecided"}.
  """
  pairs = {
    (ours[seed].draw, theirs[seed].draw): seed
    for seed in sorted({*ours} & {*theirs}, reverse=True)
    if metric in ours[seed].values and metric in theirs[seed].values
  }
  seeds = sorted(pairs.values())
  if not seeds:
    return None
  sign = METRICS[metric].better.sign
  found = comparison.paired_difference(
    *(
      {seed: sign * side[seed].values[metric] for seed in seeds}
      for side in (ours, theirs)
    )
  )
  verdict = comparison.judge_difference(found)
  bounds = found.interval and sorted(sign * bound for bound in found.interval)
  return {
    "mean": _finite(sign * found.mean),
    "std": _finite(found.std),
    "n": found.n,
    "seeds": list(found.seeds),
    "interval": bounds,
    "verdict": _WORDS[verdict],
  }
