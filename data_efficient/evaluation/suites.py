# SPDX-License-Identifier: Apache-2.0
"""Tables of suites: a task's figures, macro averages, and their intervals.

The paper's Average (arXiv 2402.09668, Appendix C) is the macro average of
MMLU, BBH, Reasoning and QA; each of these is one of its suites, a suite one of
its rows, and a row one task or several that count as one. Intervals are 95%:
Wilson's where a question is right or wrong, and percentiles of bootstrap
samples, drawn within each task, for all else.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from data_efficient.data import few_shot, records
from data_efficient.evaluation import bootstrap

PAPER = ("MMLU", "BBH", "Reasoning", "QA")
_NORMAL = 1.959963984540054  # its 97.5th percentile


class SuiteError(ValueError):
  """An evaluation that would not be an honest one."""


class Figure(NamedTuple):
  """A metric of a task, or a mean of such.

  Attributes:
    value: of all questions.
    interval: 95%; None where a sample has no value.
    drawn: its value in each bootstrap sample.
  """

  value: float
  interval: list[float] | None
  drawn: Float64[np.ndarray, " b"]

  def row(self) -> dict[str, Any]:
    """{"value", "interval"}."""
    return {"value": self.value, "interval": self.interval}


class Task(NamedTuple):
  """What a task came to.

  Attributes:
    figures: of its metrics.
    averaged: what counts in averages: one of these, or their mean.
    counts: of its questions, and of those that were shortened, cut, …
  """

  figures: dict[str, Figure]
  averaged: Figure
  counts: dict[str, int]

  def row(self) -> dict[str, Any]:
    """Of suites.json."""
    figures = {name: figure.row() for name, figure in self.figures.items()}
    return {**figures, **self.counts}


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


def seed_of(seed: int, suite: str, task: str) -> int:
  """A seed of its own for each task, so that their samples are independent."""
  return seed ^ records.fingerprint(f"{suite}\n{task}")


def mean_of(values: Sequence[float], *, resamples: int, seed: int) -> Figure:
  """The mean of what each question got, in [0, 1].

  Args:
    values: of each question.
    resamples: bootstrap samples.
    seed: of these.

  Raises:
    SuiteError: no question.
  """
  found = np.asarray(values, np.float64)
  if not len(found):
    raise SuiteError(
      "a task without questions: bring more records, another split, or leave"
      " the task out"
    )
  drawn = bootstrap.drawn(len(found), resamples=resamples, seed=seed)
  means = drawn @ found / len(found)
  if np.isin(found, (0, 1)).all():
    interval = wilson(int(found.sum()), len(found))
  else:
    interval = bootstrap.interval(means)
  return Figure(float(found.mean()), interval, means)


def macro(figures: Sequence[Figure]) -> Figure:
  """The mean of figures of which each counts the same."""
  drawn = np.mean([figure.drawn for figure in figures], axis=0)
  value = float(np.mean([figure.value for figure in figures]))
  return Figure(value, bootstrap.interval(drawn), drawn)


def averages(
  suites: Mapping[str, Sequence[Sequence[Figure]]],
  categories: Mapping[str, str],
) -> dict[str, Any]:
  """Macro averages of suites, categories and the paper's four.

  Args:
    suites: suite -> rows, of each the figures of its tasks.
    categories: suite -> category.

  Returns:
    {"suites", "categories": {name: {"value", "interval"}}, "average": the
    same of `PAPER`, null where "missing" names categories, "of_all": of all
    categories}.

  Raises:
    SuiteError: a suite without a task.
  """
  by_suite: dict[str, Figure] = {}
  members: dict[str, list[Figure]] = {}
  for name, rows in suites.items():
    if not rows:
      raise SuiteError(f"suite {name!r} has no task")
    by_suite[name] = macro([macro(row) for row in rows])
    members.setdefault(categories[name], []).append(by_suite[name])
  by_category = {name: macro(found) for name, found in members.items()}
  missing = [name for name in PAPER if name not in by_category]
  average: dict[str, Any] = {"value": None, "interval": None}
  if not missing:
    average = macro([by_category[name] for name in PAPER]).row()
  return {
    "suites": {name: figure.row() for name, figure in by_suite.items()},
    "categories": {name: figure.row() for name, figure in by_category.items()},
    "average": average,
    "missing": missing,
    "of_all": macro(list(by_category.values())).row(),
  }
