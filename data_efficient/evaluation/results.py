# SPDX-License-Identifier: Apache-2.0
"""`results.json`: every figure of the report, recomputed from files.

    {"steps", "batch_size", "target": {"hq_loss", "in_distribution_loss", …,
       "seeds"}, "targets": {network: the same},
     "networks": [{"network", "non_embedding_parameters", "parameters",
       "runs"}],
     "metrics": {metric: "lower" or "higher", whichever is better},
     "runs": [{"network", "sampler", "budget", "seed", "kept_fraction",
       "kept_tokens", "kept_records", "epochs", "commit", "steps": […],
       "hq_loss": […], "mean_hq_loss", "final_hq_loss", "steps_to_full",
       "speedup", the same of "in_distribution_loss", "tokens_to_full",
       "training_seconds", "scoring_seconds", "amortised", "seconds_to_full",
       "seconds_to_full_with_scoring",
       "seconds_to_full_with_scoring_amortised"}],
     "samplers": [{"network", "sampler", "budget", "seeds", "hq_loss": {"mean",
       "std", "n"}, "hq_perplexity": {"mean", "interval": [low, high]}, the same
       of "in_distribution_…", "suites": {suite: {"mean", "interval"}},
       "against_random": {"hq_loss": {"mean", "std", "n", "seeds", "interval"},
       …}, "against_full", "against_quality_classifier", "verdict",
       "steps_to_full", "speedup": {…}, "in_distribution_speedup",
       "convergence": {metric: {"steps", "tokens", "seconds",
       "seconds_with_scoring", "seconds_with_scoring_amortised": {"reached",
       "total", "seeds", "restricted_mean", "restricted_interval",
       "speedup_mean", "speedup_interval"}}},
       "over_scaling": {metric: {"mean", "interval", "seeds", "reason"}},
       "over_scaling_average": {"mean", "interval", "metrics"},
       "effective_model_size": {"parameters", "interval", "extrapolated",
       "reason"}, "training_seconds", "scoring_seconds", …}],
     "size_curve": {"fit", "a", "b", "e", "sizes"} or {"reason"},
     "pareto": {network: {"data", "accelerator_time": [{"sampler", "budget",
       "x", "y", "interval", "on_front"}]}},
     "agreement": {"names", "tau": [[…]], "records", "of"},
     "configurations": {"texts", "runs": [{"run", "sampler", "budget", "seed",
       "network", "text": index}], "missing"},
     "random_missing": [{"network", "sampler", "budget", "reason"}],
     "corpus_unknown": [run], "left_out": [{"directory", "reason"}],
     "judge", "scoring_seconds", "training_seconds", "corpus", "selections",
     "interval_level", "command", "commit"}

Losses are in nats a target token, seconds are wall clock, parameters of an
effective model size are without embeddings. A number that does not exist (no
second seed, never reached, diverged, not known) is null, never NaN.

Runs of several networks stand side by side and are compared within each. The
main network (see `model_sizes.networks`) is the first of "networks"; "steps",
"target" and the mean of "training_seconds" are its. What the figures mean is
said where they are computed: "convergence" and its speed-ups in
`convergence.savings`; "amortised", and what "scoring" counts, in
`scoring_shares.Scoring`; which metrics there are in `measures`; over-scaling
and effective model size in `scaling`; the fronts in `pareto`, of HQ loss
against the tokens that a selection keeps, and against the seconds of one
training run and all of its scoring; agreement in `agreement.matrix`.

Files of before these were added lack "networks" and all that names a network,
"convergence", perplexities, over-scaling, fronts, agreement, configurations.
"""

import itertools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_efficient.data import artifacts
from data_efficient.evaluation import (
  admission,
  comparison,
  configurations,
  model_sizes,
  network_rows,
  run_rows,
  scoring_shares,
)
from data_efficient.evaluation.run_rows import Measured
from data_efficient.evaluation.runs import Run


def assemble(
  run_directories: Sequence[str | pathlib.Path],
  *,
  judge: Mapping,
  scoring_seconds: Mapping[str, Mapping[str, float | int]],
  corpus: Mapping,
  selections: Mapping[str, Mapping],
  command: str,
  commit: str,
  agreement: Mapping | None = None,
) -> dict:
  """Reads the runs and computes everything that `results.json` holds.

  Args:
    run_directories: runs; one that is unfinished, damaged, of another corpus,
      of other compute or evaluation sets, or that clashes with another is left
      out and named.
    judge: {"name", "auc": {what: figure}, ...}; the name `stand_in` stands for
      a judge that was taught on the spot. Empty: no judge.
    scoring_seconds: sampler -> stage ("teach_judge", "ask_llm", ...) ->
      seconds. A stage that serves two samplers stands with both: a sum is what
      the sampler costs alone.
    corpus: {"name", "fingerprint", "records", "splits": {split: records},
      "sources": {source: records}}; runs of another fingerprint are left out.
    selections: one entry a selection, under any unique name: {"sampler",
      "budget", "kept_records", "kept_tokens", "threshold", "weight_max",
      "weight_min", "effective_sample_size", "effective_share", "sources":
      {source: kept}, "inclusion": {"duplicated", "unique", "rare": share}}.
    command: what reproduces the report.
    commit: of the code that assembled it.
    agreement: what `agreement.matrix` returns of the scores.

  Raises:
    EvaluationError: no run is left to compare (see `admission.admit`).
  """
  admitted = admission.admit(run_directories, corpus=corpus.get("fingerprint"))
  networks = model_sizes.networks(admitted.runs)
  scoring = scoring_shares.of_samplers(
    [run.sampler for run in admitted.runs], scoring_seconds
  )
  targets = {each.name: run_rows.target(each.runs) for each in networks}
  groups = {
    each.name: network_rows.groups(each, targets[each.name], scoring)
    for each in networks
  }
  everyone = [
    m for own in groups.values() for runs in own.values() for m in runs
  ]
  main = networks[0]
  return _plain(
    {
      **_samplers(networks, groups),
      "steps": main.runs[0].steps,
      "batch_size": main.runs[0].batch_size,
      "interval_level": comparison.LEVEL,
      "networks": [each.describe() for each in networks],
      "metrics": _metrics(admitted.runs),
      "target": targets[main.name],
      "targets": targets,
      "runs": [run_rows.row(each) for each in everyone],
      "agreement": agreement,
      "configurations": configurations.collect(everyone),
      "random_missing": network_rows.random_missing(groups),
      "corpus_unknown": sorted(
        pathlib.Path(each).name for each in admitted.corpus_unknown
      ),
      "left_out": [entry._asdict() for entry in admitted.left_out],
      "judge": judge,
      "scoring_seconds": _scoring(scoring_seconds),
      "training_seconds": _training(everyone, main.name),
      "corpus": corpus,
      "selections": selections,
      "command": command,
      "commit": commit,
    }
  )


def _samplers(networks: Sequence, groups: Mapping) -> dict:
  """What is said of samplers: their rows, over sizes, and the fronts."""
  curve = network_rows.size_curve(networks, groups)
  rows = {
    each.name: network_rows.samplers(each, networks, groups, curve)
    for each in networks
  }
  return {
    "samplers": list(itertools.chain(*rows.values())),
    "size_curve": (
      {"reason": curve} if isinstance(curve, str) else curve.describe()
    ),
    "pareto": {n: network_rows.fronts(rows[n], groups[n]) for n in rows},
  }


def write(path: str | pathlib.Path, results: Mapping) -> None:
  """Writes results as JSON in one atomic step: all of it or nothing."""
  text = json.dumps(_plain(results), indent=1, allow_nan=False)
  artifacts.atomic_write(pathlib.Path(path), (text + "\n").encode("ascii"))


def _metrics(runs: Sequence[Run]) -> dict[str, str]:
  return {
    metric: measure.better.value
    for run in runs
    for metric, measure in run.measures.items()
  }


def _scoring(seconds: Mapping[str, Mapping[str, float | int]]) -> dict:
  """Adds the sum of its stages to each sampler's scoring seconds."""
  return {
    sampler: {"stages": dict(stages), "total": sum(stages.values())}
    for sampler, stages in seconds.items()
  }


def _training(runs: Sequence[Measured], main: str) -> dict:
  """Of each run and of all together; the mean is of the main network's."""
  each = [
    {
      "network": measured.network,
      "sampler": measured.run.sampler,
      "budget": measured.run.budget,
      "seed": measured.run.seed,
      "seconds": measured.run.training_seconds,
    }
    for measured in runs
  ]
  of_main = [run["seconds"] for run in each if run["network"] == main]
  return {
    "runs": each,
    "mean": sum(of_main) / len(of_main),
    "total": sum(run["seconds"] for run in each),
  }


def _plain(value):
  """The value as JSON can hold it: no NumPy, no tuples, no NaN or infinity."""
  if isinstance(value, Mapping):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, np.ndarray):
    finite = np.isfinite(value)
    return (value if finite.all() else np.where(finite, value, None)).tolist()
  if isinstance(value, np.generic):
    return _plain(value.item())
  if isinstance(value, (list, tuple)):
    return [_plain(item) for item in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
