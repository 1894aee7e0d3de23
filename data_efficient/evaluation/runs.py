# SPDX-License-Identifier: Apache-2.0
"""Finished training runs, read back from their directories.

A run directory holds `run.json` (what was trained, on what, for how long) and
`metrics.jsonl` (a row an event). Everything that the report says about a run
is recomputed from these two files; a damaged one stops the report, because a
missing evaluation would move a mean without a trace.
"""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data_efficient.data import manifests

HQ = "hq"
IN_DISTRIBUTION = "in_distribution"

_RESUME = "run train again with the same gin file: it resumes"
_REPLACE = "move the directory away and run train again"


class EvaluationError(ValueError):
  """A run, or a set of runs, that no honest figure can be computed from."""


class Curve(NamedTuple):
  """Losses at the k evaluations of one run on one evaluation set.

  `steps` ascends; `losses` are in nats a target token, NaN where the run
  diverged.
  """

  steps: Int[np.ndarray, " k"]
  losses: Float[np.ndarray, " k"]


class Run(NamedTuple):
  """One finished run.

  `compared_by` is what a run must share with others to be compared: network,
  sequence lengths, vocabulary, evaluation sets.
  `budget` is the budget that the selection was asked for (None where it was
  not stated, as for the full data); `kept_fraction` is what it came to.
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


_TEXT = ("sampler", "commit")
_WHOLE = ("seed", "steps", "batch_size", "kept_records", "kept_tokens")
_REAL = ("kept_fraction", "epochs", "training_seconds")


def read_run(directory: str | pathlib.Path) -> Run:
  """Reads one run directory.

  Where a run was resumed, `metrics.jsonl` may hold an evaluation twice; the
  later row counts: it belongs to the parameters that training went on with.

  Raises:
    EvaluationError: a file is missing or damaged, the run is incomplete, or an
      evaluation set is missing or stops before the last step; names directory,
      file, line and what to do.
  """
  directory = pathlib.Path(directory)
  facts = _read_facts(directory / "run.json")
  curves = _read_curves(directory / "metrics.jsonl")
  for name in (HQ, IN_DISTRIBUTION):
    _check_curve(directory, name=name, curves=curves, steps=facts["steps"])
  hq, in_distribution = curves[HQ], curves[IN_DISTRIBUTION]
  if not np.array_equal(hq.steps, in_distribution.steps):
    raise EvaluationError(
      f"{directory / 'metrics.jsonl'}: the evaluations of {HQ!r} and "
      f"{IN_DISTRIBUTION!r} are at different steps; {_REPLACE}"
    )
  return Run(
    directory=str(directory), hq=hq, in_distribution=in_distribution, **facts
  )


def check_comparable(run: Run, first: Run) -> None:
  """Raises EvaluationError where steps, batch size or `compared_by` differ."""
  _check_compute(run, first)
  _check_measured(run, first)


def find(
  directory: str | pathlib.Path, samplers: Sequence[str] | None
) -> list[pathlib.Path]:
  """The finished runs in a directory, sorted: of some samplers, or all.

  A run whose run.json is damaged is among them: whose it is cannot be told,
  and `admission.admit` names it.

  Raises:
    EvaluationError: a sampler has no run there.
  """
  paths = sorted(pathlib.Path(directory).glob("*/run.json"))
  if samplers is None:
    return [path.parent for path in paths]
  found = {}
  for path in paths:
    found[path.parent] = _sampler(path)
  there = {name for name in found.values() if name is not None}
  missing = [name for name in samplers if name not in there]
  if missing:
    raise EvaluationError(
      f"{directory}: no run of {', '.join(missing)}; there are runs of "
      f"{', '.join(sorted(there)) or 'none'}"
    )
  return [p for p, name in found.items() if name is None or name in samplers]


def _sampler(path: pathlib.Path) -> str | None:
  """Whose run it is; None where a damaged file does not say."""
  try:
    return _text(_parse(_read_bytes(path), where=str(path)), "sampler", path)
  except EvaluationError:
    return None


def _check_compute(run: Run, first: Run) -> None:
  for field in ("steps", "batch_size"):
    ours, expected = getattr(run, field), getattr(first, field)
    if ours != expected:
      raise EvaluationError(
        f"{run.directory}: {field} is {ours}, but {first.directory} has "
        f"{expected}: runs of unequal compute cannot be compared; train them "
        "with the same run file or report them apart"
      )


def _check_measured(run: Run, first: Run) -> None:
  """Both were trained alike and asked the same questions, but for the data."""
  lines = manifests.differences(run.compared_by, first.compared_by)
  if lines:
    raise EvaluationError(
      f"{run.directory} and {first.directory} cannot be compared; in run.json, "
      "compared_by (found in the first, expected from the second):\n  "
      + "\n  ".join(lines[:10])
      + "\ntrain them with the same run file, model and vocabulary, or report "
      "them apart"
    )


def _read_facts(path: pathlib.Path) -> dict:
  row = _parse(_read_bytes(path), where=str(path))
  if row.get("complete") is not True:
    raise EvaluationError(f"{path}: the run is not complete; {_RESUME}")
  facts: dict = {field: _text(row, field, path) for field in _TEXT}
  facts |= {field: _whole(row, field, str(path)) for field in _WHOLE}
  facts |= {field: _real(row, field, path) for field in _REAL}
  if not isinstance(row.get("compared_by"), dict):
    raise _wrong(row, "compared_by", path, expected="an object")
  facts["compared_by"] = row["compared_by"]
  budget = row.get("budget")
  facts["budget"] = None if budget is None else _real(row, "budget", path)
  return facts


def _read_curves(path: pathlib.Path) -> dict[str, Curve]:
  found: dict[str, dict[int, float]] = {}
  lines = _read_bytes(path).split(b"\n")
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    where = f"{path}, line {number}"
    row = _parse(line, where=where)
    step = _whole(row, "step", where)
    if "evaluation" not in row:
      continue
    name = row["evaluation"]
    if not isinstance(name, str):
      raise EvaluationError(
        f'{where}: "evaluation" is {name!r}, expected a name; {_REPLACE}'
      )
    found.setdefault(name, {})[step] = _loss(row, where)
  return {name: _curve(points) for name, points in found.items()}


def _curve(points: dict[int, float]) -> Curve:
  steps = sorted(points)
  losses = [points[step] for step in steps]
  return Curve(np.asarray(steps, np.int64), np.asarray(losses, np.float64))


def _check_curve(
  directory: pathlib.Path, *, name: str, curves: dict[str, Curve], steps: int
) -> None:
  where = directory / "metrics.jsonl"
  if name not in curves:
    raise EvaluationError(
      f'{where}: no row with "evaluation": "{name}", found '
      f"{sorted(curves) or 'none'}; check the evaluation sets of the run file, "
      f"then {_REPLACE}"
    )
  last = int(curves[name].steps[-1])
  if last != steps:
    raise EvaluationError(
      f"{where}: the evaluations of {name!r} end at step {last}, run.json says "
      f"{steps} steps; {_RESUME if last < steps else _REPLACE}"
    )


def _read_bytes(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except FileNotFoundError:
    raise EvaluationError(f"{path}: no such file; {_RESUME}") from None
  except OSError as error:
    raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(data: bytes, *, where: str) -> dict:
  try:
    row = json.loads(data.decode("utf-8"))
  except ValueError as error:  # JSON's and UTF-8's errors are both ValueErrors
    raise EvaluationError(f"{where}: damaged: {error}; {_REPLACE}") from None
  if not isinstance(row, dict):
    raise EvaluationError(f"{where}: expected a JSON object; {_REPLACE}")
  return row


def _wrong(row: dict, field: str, where: object, *, expected: str) -> Exception:
  found = repr(row[field]) if field in row else "missing"
  return EvaluationError(
    f'{where}: "{field}" is {found}, expected {expected}; {_REPLACE}'
  )


def _text(row: dict, field: str, where: object) -> str:
  if not isinstance(row.get(field), str):
    raise _wrong(row, field, where, expected="text")
  return row[field]


def _whole(row: dict, field: str, where: object) -> int:
  value = row.get(field)
  if not isinstance(value, int) or isinstance(value, bool) or value < 0:
    raise _wrong(row, field, where, expected="a whole number, 0 or more")
  return value


def _real(row: dict, field: str, where: object) -> float:
  value = row.get(field)
  number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not number or not math.isfinite(value):
    raise _wrong(row, field, where, expected="a finite number")
  return float(value)


def _loss(row: dict, where: str) -> float:
  """The loss of an evaluation; NaN is a fact (the run diverged), not damage."""
  value = row.get("loss", "missing")
  if value is None:
    return math.nan
  if not isinstance(value, (int, float)) or isinstance(value, bool):
    raise _wrong(row, "loss", where, expected="a number")
  return float(value) if math.isfinite(value) else math.nan
