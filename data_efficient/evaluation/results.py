# SPDX-License-Identifier: Apache-2.0
"""`results.json`: every figure of the report, recomputed from files.

    {"steps", "target": {"hq_loss", "in_distribution_loss", "seeds"},
     "runs": [{"sampler", "budget", "seed", "kept_fraction", "kept_tokens",
       "kept_records", "epochs", "steps": [...], "hq_loss": [...],
       "in_distribution_loss": [...], "final_hq_loss",
       "final_in_distribution_loss", "steps_to_full", "speedup", ...}],
     "samplers": [{"sampler", "budget", "seeds", "hq_loss": {"mean", "std",
       "n"}, "against_random": {"hq_loss": {"mean", "std", "n", "seeds",
       "interval": [low, high]}, ...}, "verdict", "speedup": {...}, ...}],
     "judge", "scoring_seconds", "training_seconds", "corpus", "selections",
     "left_out": [{"directory", "reason"}], "command", "commit"}

Losses are in nats a target token, seconds are wall clock. A number that does
not exist (no second seed, never reached, diverged) is null, never NaN.
"""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_efficient.data import artifacts
from data_efficient.evaluation import admission, comparison, convergence, names
from data_efficient.evaluation.runs import Curve, Run

_LOSSES = {"hq_loss": "hq", "in_distribution_loss": "in_distribution"}
_KEPT = ("kept_fraction", "kept_tokens", "kept_records", "epochs")


def assemble(
  run_directories: Sequence[str | pathlib.Path],
  *,
  judge: Mapping,
  scoring_seconds: Mapping[str, Mapping[str, float | int]],
  corpus: Mapping,
  selections: Mapping[str, Mapping],
  command: str,
  commit: str,
) -> dict:
  """Reads the runs and computes everything that `results.json` holds.

  Args:
    run_directories: runs; one that is unfinished, damaged, of other compute or
      evaluation sets, or that clashes with another is left out and named.
    judge: {"name", "auc": {what: figure}, ...}; the name `stand_in` stands for
      a judge that was taught on the spot. Empty: no judge.
    scoring_seconds: sampler -> stage ("teach_judge", "ask_llm", ...) ->
      seconds. A stage that serves two samplers stands with both: a sum is what
      the sampler costs alone.
    corpus: {"name", "fingerprint", "records", "splits": {split: records},
      "sources": {source: records}}.
    selections: one entry a selection, under any unique name: {"sampler",
      "budget", "kept_records", "kept_tokens", "threshold", "weight_max",
      "weight_min", "effective_sample_size", "effective_share", "sources":
      {source: kept}, "inclusion": {"duplicated", "unique", "rare": share}}.
    command: what reproduces the report.
    commit: of the code that assembled it.

  Raises:
    EvaluationError: no run is left to compare (see `admission.admit`).
  """
  runs, left_out = admission.admit(run_directories)
  runs.sort(key=lambda run: (*names.order(run.sampler, run.budget), run.seed))
  target = _target(runs)
  rows = [_run_row(run, target=target) for run in runs]
  return _plain(
    {
      "steps": runs[0].steps,
      "batch_size": runs[0].batch_size,
      "interval_level": comparison.LEVEL,
      "target": target,
      "runs": rows,
      "samplers": _aggregate(rows),
      "left_out": [entry._asdict() for entry in left_out],
      "judge": judge,
      "scoring_seconds": _scoring(scoring_seconds),
      "training_seconds": _training(rows),
      "corpus": corpus,
      "selections": selections,
      "command": command,
      "commit": commit,
    }
  )


def write(path: str | pathlib.Path, results: Mapping) -> None:
  """Writes results as JSON in one atomic step: all of it or nothing."""
  text = json.dumps(_plain(results), indent=1, allow_nan=False)
  artifacts.atomic_write(pathlib.Path(path), (text + "\n").encode("ascii"))


def _curves(run: Run) -> dict[str, Curve]:
  return {loss: getattr(run, field) for loss, field in _LOSSES.items()}


def _target(runs: Sequence[Run]) -> dict:
  """Mean final losses of the full data's runs; NaN where there is none."""
  full = [run for run in runs if run.sampler == names.FULL]
  finals = {
    loss: [convergence.final_loss(_curves(run)[loss]) for run in full]
    for loss in _LOSSES
  }
  means = {loss: comparison.summarize(finals[loss]).mean for loss in _LOSSES}
  return {**means, "seeds": [run.seed for run in full]}


def _run_row(run: Run, *, target: Mapping) -> dict:
  row = {
    "sampler": run.sampler,
    "budget": run.budget,
    "seed": run.seed,
    **{field: getattr(run, field) for field in _KEPT},
    "training_seconds": run.training_seconds,
    "commit": run.commit,
    "steps": run.hq.steps,
  }
  prefixes = {"hq_loss": "", "in_distribution_loss": "in_distribution_"}
  for loss, curve in _curves(run).items():
    reached = convergence.steps_to_reach(curve, target[loss])
    row[loss] = curve.losses
    row[f"mean_{loss}"] = convergence.mean_loss(curve)
    row[f"final_{loss}"] = convergence.final_loss(curve)
    row[f"{prefixes[loss]}steps_to_full"] = reached
    row[f"{prefixes[loss]}speedup"] = convergence.speedup(
      reached, steps=run.steps
    )
  return row


def _aggregate(rows: Sequence[dict]) -> list[dict]:
  """One entry a sampler and budget, in the order of the rows."""
  groups: dict[tuple, list[dict]] = {}
  for row in rows:
    groups.setdefault((row["sampler"], row["budget"]), []).append(row)
  return [_sampler_row(key, groups) for key in groups]


def _sampler_row(key: tuple, groups: Mapping[tuple, list[dict]]) -> dict:
  sampler, budget = key
  rows = groups[key]
  full = [row for (name, _), g in groups.items() if name == "full" for row in g]
  random = groups.get((names.RANDOM, budget), [])
  baseline = groups.get((names.QUALITY_CLASSIFIER, budget), [])
  against_random = _against(rows, random)
  return {
    "sampler": sampler,
    "budget": budget,
    "seeds": [row["seed"] for row in rows],
    **{field: _mean(rows, field) for field in _KEPT},
    **{loss: _summary(_finals(rows, loss).values()) for loss in _LOSSES},
    "against_random": None if sampler == names.RANDOM else against_random,
    "against_full": None if sampler == names.FULL else _against(rows, full),
    "against_quality_classifier": (
      None if sampler == names.QUALITY_CLASSIFIER else _against(rows, baseline)
    ),
    "verdict": _verdict(sampler, rows, random),
    "steps_to_full": _steps_to_full(
      rows, target=bool(full) and math.isfinite(_mean(full, "final_hq_loss"))
    ),
    "speedup": _speedup(rows, "speedup"),
    "in_distribution_speedup": _speedup(rows, "in_distribution_speedup"),
    "training_seconds": _mean(rows, "training_seconds"),
  }


def _finals(rows: Sequence[dict], loss: str) -> dict[int, float]:
  return {row["seed"]: row[f"final_{loss}"] for row in rows}


def _mean(rows: Sequence[dict], field: str) -> float:
  return comparison.summarize([float(row[field]) for row in rows]).mean


def _summary(values) -> dict:
  return comparison.summarize(list(values))._asdict()


def _difference(ours: Sequence[dict], theirs: Sequence[dict], loss: str):
  return comparison.paired_difference(
    _finals(ours, loss), _finals(theirs, loss)
  )


def _against(ours: Sequence[dict], theirs: Sequence[dict]) -> dict | None:
  """Paired differences of both losses; None where there is no one to face."""
  if not theirs:
    return None
  return {loss: _difference(ours, theirs, loss)._asdict() for loss in _LOSSES}


def _verdict(sampler: str, ours: Sequence[dict], random: Sequence[dict]):
  """Against Random at the same budget on HQ loss; None without such runs."""
  if sampler in (names.FULL, names.RANDOM) or not random:
    return None
  return comparison.judge_difference(_difference(ours, random, "hq_loss")).value


def _steps_to_full(rows: Sequence[dict], *, target: bool) -> dict:
  """Over seeds; restricted ones are null where Full has no final loss."""
  steps = [row["steps_to_full"] for row in rows]
  reached = [step for step in steps if step is not None]
  mean = (
    comparison.summarize(reached).mean if len(reached) == len(steps) else None
  )
  restricted = [
    convergence.restricted_steps(
      row["steps_to_full"], steps=int(row["steps"][-1])
    )
    for row in rows
  ]
  return {
    **{"mean": mean, "reached": len(reached), "total": len(steps)},
    "restricted_mean": (
      comparison.summarize(restricted).mean if target else None
    ),
    "restricted_interval": comparison.interval(restricted) if target else None,
  }


def _speedup(rows: Sequence[dict], field: str) -> dict:
  speedups = {row["seed"]: row[field] for row in rows}
  return comparison.summarize_speedups(speedups)._asdict()


def _scoring(seconds: Mapping[str, Mapping[str, float | int]]) -> dict:
  """Adds the sum of its stages to each sampler's scoring seconds."""
  return {
    sampler: {"stages": dict(stages), "total": sum(stages.values())}
    for sampler, stages in seconds.items()
  }


def _training(rows: Sequence[dict]) -> dict:
  runs = [
    {
      "sampler": row["sampler"],
      "budget": row["budget"],
      "seed": row["seed"],
      "seconds": row["training_seconds"],
    }
    for row in rows
  ]
  seconds = [run["seconds"] for run in runs]
  total = sum(seconds)
  return {"runs": runs, "mean": total / len(seconds), "total": total}


def _plain(value):
  """The value as JSON can hold it: no NumPy, no tuples, no NaN or infinity."""
  if isinstance(value, Mapping):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, np.ndarray):
    return _plain(value.tolist())
  if isinstance(value, np.generic):
    return _plain(value.item())
  if isinstance(value, (list, tuple)):
    return [_plain(item) for item in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
