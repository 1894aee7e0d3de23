# SPDX-License-Identifier: Apache-2.0
"""Finished training runs, read back from their directories.

A run directory holds `run.json` (what was trained, on what, for how long) and
`metrics.jsonl` (a row an event). Everything that the report says about a run
is recomputed from these two files; a damaged one stops the report, because a
missing evaluation would move a mean without a trace.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.data import manifests
from data_efficient.evaluation import measures as run_measures
from data_efficient.evaluation import run_fields
from data_efficient.evaluation.measures import LAST_EVALUATIONS, Curve, Measure
from data_efficient.evaluation.run_fields import EvaluationError

HQ = "hq"
IN_DISTRIBUTION = "in_distribution"
# Keys of `compared_by`.
NETWORK = "network"
CORPUS = "corpus"


class Run(NamedTuple):
  """One finished run.

  `compared_by` is what a run must share with others to be compared: network,
  sequence lengths, vocabulary, corpus, evaluation sets.
  `budget` is the budget that the selection was asked for (None where it was
  not stated, as for the full data); `kept_fraction` is what it came to.
  `measures` are all metrics by name, both losses among them.
  `corpus_assumed`: its run.json does not say of which corpus it is.
  """

  directory: str
  sampler: str
  budget: float | None
  seed: int
  steps: int
  batch_size: int
  kept_records: int
  kept_tokens: int
  kept_fraction: float
  epochs: float
  training_seconds: float
  commit: str
  compared_by: dict[str, Any]
  hq: Curve
  in_distribution: Curve
  measures: Mapping[str, Measure]
  corpus_assumed: bool = False

  @property
  def corpus(self) -> str | None:
    """Fingerprint of the corpus; None in a run of before it was written."""
    return self.compared_by.get(CORPUS)

  @property
  def step_tokens(self) -> int | None:
    """Tokens a step as the paper counts them: sequences × length of the inputs.

    1,024 × 512 (arXiv 2402.09668, Section 4.1); of a network without inputs,
    the length of the targets. None where run.json states no lengths.
    """
    lengths = self.compared_by.get("task_feature_lengths")
    if not isinstance(lengths, dict):
      return None
    length = lengths.get("inputs") or lengths.get("targets")
    return self.batch_size * length if length else None


_TEXT = ("sampler", "commit")
_WHOLE = ("seed", "steps", "batch_size", "kept_records", "kept_tokens")
_REAL = ("kept_fraction", "epochs", "training_seconds")


def read_run(directory: str | pathlib.Path) -> Run:
  """Reads one run directory.

  See `measures.read` for its metrics.

  Raises:
    EvaluationError: a file is missing or damaged, the run is incomplete, or an
      evaluation set is missing or stops before the last step; names directory,
      file, line and what to do.
  """
  directory = pathlib.Path(directory)
  facts = _read_facts(directory / "run.json")
  measures = run_measures.read(directory, steps=facts["steps"])
  curves = {
    name: measures[f"{name}_loss"].curve
    for name in (HQ, IN_DISTRIBUTION)
    if f"{name}_loss" in measures
  }
  for name in (HQ, IN_DISTRIBUTION):
    _check_curve(directory, name=name, curves=curves, steps=facts["steps"])
  hq, in_distribution = curves[HQ], curves[IN_DISTRIBUTION]
  if not np.array_equal(hq.steps, in_distribution.steps):
    raise EvaluationError(
      f"{directory / 'metrics.jsonl'}: the evaluations of {HQ!r} and "
      f"{IN_DISTRIBUTION!r} are at different steps; {run_fields.REPLACE}"
    )
  if len(hq.steps) < LAST_EVALUATIONS:
    raise EvaluationError(
      f"{directory / 'metrics.jsonl'}: {len(hq.steps)} evaluations, expected "
      f"{LAST_EVALUATIONS} or more, as a final loss is the mean of the last "
      f"{LAST_EVALUATIONS}; evaluate more often: {run_fields.REPLACE}"
    )
  return Run(
    directory=str(directory),
    hq=hq,
    in_distribution=in_distribution,
    measures=measures,
    **facts,
  )


def check_comparable(run: Run, first: Run, *, but: Sequence[str] = ()) -> None:
  """Raises EvaluationError where two runs cannot be compared.

  Args:
    run: of which the error speaks.
    first: what it is compared with.
    but: which of "steps", "batch_size" and the keys of `compared_by` may
      differ.
  """
  _check_compute(run, first, but)
  ours, expected = (
    {key: value for key, value in each.compared_by.items() if key not in but}
    for each in (run, first)
  )
  lines = manifests.differences(ours, expected)
  if lines:
    raise EvaluationError(
      f"{run.directory} and {first.directory} cannot be compared; in run.json, "
      "compared_by (found in the first, expected from the second):\n  "
      + "\n  ".join(lines[:10])
      + "\ntrain them with the same run file, corpus, model and vocabulary, or "
      "report them apart"
    )


def find(
  directory: str | pathlib.Path, samplers: Sequence[str] | None
) -> list[pathlib.Path]:
  """The finished runs in a directory, sorted: of some samplers, or all.

  A run whose run.json is damaged is among them: whose it is cannot be told,
  and `admission.admit` names it.

  Raises:
    EvaluationError: a sampler has no run there, nor can a damaged one be its.
  """
  paths = sorted(pathlib.Path(directory).glob("*/run.json"))
  if samplers is None:
    return [path.parent for path in paths]
  found = {}
  for path in paths:
    found[path.parent] = _sampler(path)
  there = {name for name in found.values() if name is not None}
  missing = [name for name in samplers if name not in there]
  if missing and None not in found.values():
    raise EvaluationError(
      f"{directory}: no run of {', '.join(missing)}; there are runs of "
      f"{', '.join(sorted(there)) or 'none'}"
    )
  return [p for p, name in found.items() if name is None or name in samplers]


def _sampler(path: pathlib.Path) -> str | None:
  """Whose run it is; None where a damaged file does not say."""
  try:
    return run_fields.text(_read_json(path), "sampler", path)
  except EvaluationError:
    return None


def _check_compute(run: Run, first: Run, but: Sequence[str]) -> None:
  for field in ("steps", "batch_size"):
    ours, expected = getattr(run, field), getattr(first, field)
    if field not in but and ours != expected:
      raise EvaluationError(
        f"{run.directory}: {field} is {ours}, but {first.directory} has "
        f"{expected}: runs of unequal compute cannot be compared; train them "
        "with the same run file or report them apart"
      )


def _read_json(path: pathlib.Path) -> dict:
  return run_fields.parse(run_fields.read_bytes(path), where=str(path))


def _read_facts(path: pathlib.Path) -> dict:
  row = _read_json(path)
  if row.get("complete") is not True:
    raise EvaluationError(
      f"{path}: the run is not complete; {run_fields.RESUME}"
    )
  facts: dict = {field: run_fields.text(row, field, path) for field in _TEXT}
  facts |= {field: run_fields.whole(row, field, str(path)) for field in _WHOLE}
  facts |= {field: run_fields.real(row, field, path) for field in _REAL}
  if not isinstance(row.get("compared_by"), dict):
    raise run_fields.wrong(row, "compared_by", path, expected="an object")
  facts["compared_by"] = row["compared_by"]
  budget = row.get("budget")
  facts["budget"] = (
    None if budget is None else run_fields.real(row, "budget", path)
  )
  return facts


def _check_curve(
  directory: pathlib.Path, *, name: str, curves: dict[str, Curve], steps: int
) -> None:
  where = directory / "metrics.jsonl"
  if name not in curves:
    raise EvaluationError(
      f'{where}: no row with "evaluation": "{name}", found '
      f"{sorted(curves) or 'none'}; check the evaluation sets of the run file, "
      f"then {run_fields.REPLACE}"
    )
  last = int(curves[name].steps[-1])
  if last != steps:
    remedy = run_fields.RESUME if last < steps else run_fields.REPLACE
    raise EvaluationError(
      f"{where}: the evaluations of {name!r} end at step {last}, run.json says "
      f"{steps} steps; {remedy}"
    )
