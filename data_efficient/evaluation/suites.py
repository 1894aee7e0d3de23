# SPDX-License-Identifier: Apache-2.0
"""Tables of suites: a task's means, macro averages, and their intervals.

The paper's Average (arXiv 2402.09668, Appendix C) is the macro average of
MMLU, BBH, Reasoning and QA; each of these is one of its suites, a suite one of
its tasks. Intervals are 95%: Wilson's where a question is right or wrong, and
percentiles of bootstrap samples, drawn within each task, for all else.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient.data import few_shot
from data_efficient.evaluation import bootstrap

PAPER = ("MMLU", "BBH", "Reasoning", "QA")
_NORMAL = 1.959963984540054  # its 97.5th percentile


class SuiteError(ValueError):
  """An evaluation that would not be an honest one."""


def check_splits(*, chosen_on: str, reported_on: str) -> None:
  """Refuses to choose a checkpoint on what is reported.

  Raises:
    SuiteError: both are the same split, or one is none that can be asked.
  """
  asked = [few_shot.Split.VALIDATION.value, few_shot.Split.TEST.value]
  for split in (chosen_on, reported_on):
    if split not in asked:
      raise SuiteError(f"split {split!r} is not one of {', '.join(asked)}")
  if chosen_on == reported_on:
    raise SuiteError(
      f"checkpoints would be chosen on {reported_on!r}, which is reported:"
      " choose on 'validation' and report on 'test'"
    )


def choose(averages: Mapping[str, float]) -> str:
  """The checkpoint of the highest average; the first of equal ones.

  Raises:
    SuiteError: none, or an average that is no number.
  """
  wrong = [name for name, value in averages.items() if not np.isfinite(value)]
  if wrong or not averages:
    raise SuiteError(f"no checkpoint can be chosen: {wrong or 'there is none'}")
  return max(averages, key=lambda name: averages[name])


def wilson(right: int, questions: int) -> list[float]:
  """Wilson's 95% interval of a share of `questions` > 0 that are right."""
  share, z2 = right / questions, _NORMAL**2
  middle = share + z2 / (2 * questions)
  half = _NORMAL * math.sqrt(
    share * (1 - share) / questions + z2 / (4 * questions**2)
  )
  whole = 1 + z2 / questions
  return [max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)]


def task_row(
  values: Mapping[str, Sequence[float]], *, resamples: int, seed: int
) -> dict[str, Any]:
  """{metric: {"value", "interval"}} of one task.

  Args:
    values: metric -> what each question got, in [0, 1].
    resamples: bootstrap samples.
    seed: of these.
  """
  row = {}
  for metric, each in values.items():
    found = np.asarray(each, np.float64)
    if np.isin(found, (0, 1)).all():
      interval = wilson(int(found.sum()), len(found))
    else:
      drawn = _means(found, resamples=resamples, seed=seed)
      interval = bootstrap.interval(drawn)
    row[metric] = {"value": float(found.mean()), "interval": interval}
  return row


def averages(
  suites: Mapping[str, Mapping[str, Sequence[float]]],
  categories: Mapping[str, str],
  *,
  resamples: int,
  seed: int,
) -> dict[str, Any]:
  """Macro averages of suites, categories and the paper's four.

  Args:
    suites: suite -> task -> what each question got by the suite's metric.
    categories: suite -> category.
    resamples: bootstrap samples.
    seed: of these.

  Returns:
    {"suites", "categories": {name: {"value", "interval"}}, "average": the
    same of `PAPER`, null where "missing" names categories, "of_all": of all
    categories, which chooses a checkpoint}.

  Raises:
    SuiteError: a suite without a question.
  """
  drawn, exact = {}, {}
  for number, (name, tasks) in enumerate(suites.items()):
    if not tasks or not all(len(each) for each in tasks.values()):
      raise SuiteError(f"suite {name!r}: a task without questions")
    means = [
      _means(
        np.asarray(each), resamples=resamples, seed=seed + 1000 * number + t
      )
      for t, each in enumerate(tasks.values())
    ]
    drawn[name] = np.mean(means, axis=0)
    exact[name] = float(np.mean([np.mean(each) for each in tasks.values()]))
  members: dict[str, list[str]] = {}
  for name in suites:
    members.setdefault(categories[name], []).append(name)

  def mean(of: Mapping[str, Any], names: Sequence[str]) -> Any:
    return np.mean([of[name] for name in names], axis=0)

  drawn_by = {c: mean(drawn, names) for c, names in members.items()}
  exact_by = {c: float(mean(exact, names)) for c, names in members.items()}
  missing = [name for name in PAPER if name not in members]

  def average(names: Sequence[str]) -> dict[str, Any]:
    return _row(float(mean(exact_by, names)), mean(drawn_by, names))

  return {
    "suites": {name: _row(exact[name], drawn[name]) for name in suites},
    "categories": {c: _row(exact_by[c], drawn_by[c]) for c in members},
    "average": {"value": None, "interval": None} if missing else average(PAPER),
    "missing": missing,
    "of_all": average(list(members)),
  }


def _row(value: float, drawn: np.ndarray) -> dict[str, Any]:
  return {"value": value, "interval": bootstrap.interval(drawn)}


def _means(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
  weights = bootstrap.drawn(len(values), resamples=resamples, seed=seed)
  return weights @ values / len(values)
