# SPDX-License-Identifier: Apache-2.0
"""What is measured along a run, and which way is better.

A run's metrics.jsonl has a row an evaluation: {"step", "evaluation": the set's
name, "loss", "accuracy", …}. Such a field is the metric SET_FIELD: `hq_loss`,
`in_distribution_loss`, `hq_accuracy`, `glue_average`. A suites.json, of the
verb `suite` with an OUTPUT inside the run's directory, has the metrics of its
suites and categories by their names and the paper's `Average`, all of the
checkpoint that was chosen: RUN/suites.json and RUN/NAME/suites.json those of
the run's end, RUN/NAME/STEP/suites.json those of the network of that step,
whatever was fine-tuned from it. Where there were several checkpoints of the run
itself to choose from, it has `suites_validation` too, a value a checkpoint.
"""

import enum
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data_efficient.evaluation import run_fields
from data_efficient.evaluation.run_fields import EvaluationError

HQ_LOSS = "hq_loss"
IN_DISTRIBUTION_LOSS = "in_distribution_loss"
LAST_EVALUATIONS = 3
METRICS = "metrics.jsonl"
SUITES = "suites.json"
# Which checkpoint is best is chosen on this; no suite is called so.
SUITES_VALIDATION = "suites_validation"
# The paper's average of MMLU, BBH, Reasoning and QA.
AVERAGE = "Average"


class Better(enum.Enum):
  """Which way a metric improves."""

  LOWER = "lower"
  HIGHER = "higher"

  @property
  def sign(self) -> float:
    """What values are multiplied by for lower to be better."""
    return 1.0 if self is Better.LOWER else -1.0


# Field of an evaluation's row -> which way is better; the names of scores are
# those of T5's metrics and of `suite_metrics`. Any other field is no metric:
# its direction would be a guess.
DIRECTIONS = {
  **dict.fromkeys(("loss", "perplexity"), Better.LOWER),
  **dict.fromkeys(
    (
      *("accuracy", "average", "exact_match", "em", "f1", "token_f1"),
      *("mean_3class_f1", "matthews_corrcoef", "pearson_corrcoef"),
      *("spearman_corrcoef", "rouge1", "rouge2", "rougeL", "rougeLsum"),
      *("bleu", "number_match", "option_match"),
    ),
    Better.HIGHER,
  ),
}
# A suite's value is a mean of what questions got, 1 for a right answer.
SUITE_DIRECTION = Better.HIGHER


class Curve(NamedTuple):
  """A metric at the k evaluations of one run on one evaluation set.

  `steps` ascends; `losses` are in nats a token for a loss, in the metric's own
  unit for another; NaN where the run diverged.
  """

  steps: Int[np.ndarray, " k"]
  losses: Float[np.ndarray, " k"]


class Kind(enum.Enum):
  """Where a metric comes from."""

  ALONG_TRAINING = "along_training"
  SUITE = "suite"
  MEAN_OF_SUITES = "mean_of_suites"


class Measure(NamedTuple):
  """One metric of one run."""

  curve: Curve
  better: Better
  kind: Kind = Kind.ALONG_TRAINING

  @property
  def sign(self) -> float:
    """What values are multiplied by for lower to be better."""
    return self.better.sign

  @property
  def falling(self) -> Curve:
    """The curve with its sign such that lower is better."""
    return Curve(self.curve.steps, self.sign * self.curve.losses)

  @property
  def final(self) -> float:
    """Mean of the last three evaluations; of fewer, and of suites, the last.

    A suite's points are far apart, and it is reported of the run's end.
    """
    values = self.curve.losses
    along = self.kind is Kind.ALONG_TRAINING
    few = len(values) < LAST_EVALUATIONS or not along
    return float(values[-1] if few else np.mean(values[-LAST_EVALUATIONS:]))

  @property
  def has_curve(self) -> bool:
    """Whether there are evaluations enough to ask when a value is reached."""
    return len(self.curve.losses) >= LAST_EVALUATIONS


def read(directory: pathlib.Path, *, steps: int) -> dict[str, Measure]:
  """All metrics of a run, by name.

  Where a run was resumed, metrics.jsonl may hold an evaluation twice; the
  later row counts: it belongs to the parameters that training went on with.

  Args:
    directory: of the run.
    steps: of the run: at which its suites' values stand.

  Raises:
    EvaluationError: a file is missing or damaged; names file and line.
  """
  found: dict[tuple[str, Better], dict[int, float]] = {}
  path = directory / METRICS
  for number, line in enumerate(run_fields.read_bytes(path).split(b"\n"), 1):
    if line.strip():
      where = f"{path}, line {number}"
      _add(found, run_fields.parse(line, where=where), where)
  measures = {
    name: Measure(_curve(points), better)
    for (name, better), points in found.items()
  }
  for name, measure in _of_all_suites(directory, steps=steps).items():
    if name in measures:
      raise _twice(directory / METRICS, [name])
    measures[name] = measure
  return measures


def suite_files(directory: pathlib.Path) -> list[pathlib.Path]:
  """Every suites.json of a run, sorted."""
  along = directory.glob(f"*/*/{SUITES}")
  return sorted(
    {
      *directory.glob(SUITES),
      *directory.glob(f"*/{SUITES}"),
      *(path for path in along if path.parent.name.isdecimal()),
    }
  )


def _of_all_suites(
  directory: pathlib.Path, *, steps: int
) -> dict[str, Measure]:
  """The values of all of a run's suites.json, each at its step."""
  found: dict[str, Measure] = {}
  last: dict[str, pathlib.Path] = {}
  for path in suite_files(directory):
    along = path.parent.parent.parent == directory
    asked = _of_suites(
      path,
      steps=int(path.parent.name) if along else steps,
      run=directory.resolve().name,
    )
    if twice := [name for name in asked if _meet(asked, found, name)]:
      raise _twice(path, twice)
    for name, measure in asked.items():
      before = found.get(name)
      found[name] = _joined(before, measure) if before else measure
      last[name] = path
  for name, measure in found.items():
    end = int(measure.curve.steps[-1])
    if name != SUITES_VALIDATION and end != steps:
      raise EvaluationError(
        f"{last[name].parent.parent}: {name} was asked up to step {end}, the "
        f"run has {steps} steps: run suite on its other checkpoints, or move "
        "the directory away"
      )
  return found


def _meet(
  asked: Mapping[str, Measure], found: Mapping[str, Measure], name: str
) -> bool:
  """Whether a metric has a value at one step in both."""
  if name not in found:
    return False
  steps = (each[name].curve.steps.tolist() for each in (asked, found))
  return not set(next(steps)).isdisjoint(next(steps))


def _joined(first: Measure, second: Measure) -> Measure:
  points: dict[int, float] = {}
  for steps, values in (first.curve, second.curve):
    points |= zip(steps.tolist(), values.tolist(), strict=True)
  return first._replace(curve=_curve(points))


def _twice(path: pathlib.Path, names: Sequence[str]) -> EvaluationError:
  return EvaluationError(
    f"{path}: {', '.join(sorted(names))} stand in another {SUITES} of the run "
    "too: which of them counts cannot be told; move one away"
  )


def _add(found: dict, row: dict, where: str) -> None:
  step = run_fields.whole(row, "step", where)
  if "evaluation" not in row:
    return
  label = row["evaluation"]
  if not isinstance(label, str):
    raise EvaluationError(
      f'{where}: "evaluation" is {label!r}, expected a name; '
      f"{run_fields.REPLACE}"
    )
  fields = [field for field in DIRECTIONS if field in row]
  for field in fields or ["loss"]:
    value = run_fields.measured(row, field, where)
    key = f"{label}_{field}", DIRECTIONS[field]
    found.setdefault(key, {})[step] = value


def _curve(points: Mapping[int, float]) -> Curve:
  steps = sorted(points)
  values = [points[step] for step in steps]
  return Curve(np.asarray(steps, np.int64), np.asarray(values, np.float64))


def _of_suites(
  path: pathlib.Path, *, steps: int, run: str
) -> dict[str, Measure]:
  try:
    found = json.loads(path.read_bytes())
    results = found["results"]
    suites, means = _values(results["averages"]), _values(results["categories"])
    if results["average"]["value"] is not None:
      means[AVERAGE] = float(results["average"]["value"])
    validation = _by_step(found["validation"], run=run)
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise EvaluationError(
      f"{path}: damaged, or not of the verb `suite` ({error!r}): move it away "
      "and run suite again"
    ) from None

  def measure(points: Mapping[int, float], kind: Kind) -> Measure:
    return Measure(_curve(points), SUITE_DIRECTION, kind)

  # A category of one suite may have its name, and has its value.
  measures = {
    **{n: measure({steps: v}, Kind.MEAN_OF_SUITES) for n, v in means.items()},
    **{name: measure({steps: v}, Kind.SUITE) for name, v in suites.items()},
  }
  if validation:
    kind = Kind.MEAN_OF_SUITES
    measures[SUITES_VALIDATION] = measure(validation, kind)
  return measures


def _values(rows: Mapping[str, Any]) -> dict[str, float]:
  return {name: float(row["value"]) for name, row in rows.items()}


def _by_step(validation: Mapping[str, Any], *, run: str) -> dict[int, float]:
  """Step -> value, of the run's own checkpoints: RUN/checkpoints/STEP.

  The steps of what was fine-tuned from it are not the run's.
  """
  found = {}
  for name, row in validation.items():
    *_, owner, folder, last = ("", "", *pathlib.PurePath(name).parts)
    step = re.fullmatch(r"(?:checkpoint_)?(\d+)", last)
    if step and folder == "checkpoints" and owner == run:
      found[int(step[1])] = float(row["value"])
  return found
