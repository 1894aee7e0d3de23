# SPDX-License-Identifier: Apache-2.0
"""What grades.json holds: figures of score sets of grades and comparisons."""

import collections
import contextlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.cli import cost, respond
from data_efficient.cli.graded_responses import Work
from data_efficient.data import artifacts, score_sets
from data_efficient.evaluation import suites
from data_efficient.scorers import grading, interface


def table(
  root: pathlib.Path,
  grader: grading.Grader,
  works: Sequence[Work],
  sampling: Mapping[str, int],
) -> dict[str, Any]:
  """What grades.json holds.

  Args:
    root: directory of the score sets.
    grader: what graded.
    works: what was asked.
    sampling: {"resamples", "seed"} of the bootstrap samples.

  Raises:
    GradingError: a judge that is mostly outside its scale.
  """
  made: dict[str, Any] = {
    "judge": grader.judge.name,
    "scale": dict(grader.rubric.scale),
    "runs": {},
    "pairs": {},
  }
  for work in works:
    scores = _Scores.read(root / work.name)
    grader.check(scores.statuses, finite(scores.columns["mass"]))
    tasks = [row["task"] for row in work.runs[0].rows]
    kind = "runs" if len(work.runs) == 1 else "pairs"
    found = _graded_row if kind == "runs" else _pair_row
    made[kind][work.name] = {
      **_counts(scores),
      "overall": found(scores, np.arange(len(tasks)), "", sampling),
      "tasks": {
        task: found(scores, _of(tasks, task), task, sampling)
        for task in sorted(set(tasks))
      },
    }
  return {**made, "commit": cost.commit()}


class _Scores(NamedTuple):
  """A score set's one shard."""

  statuses: list[str]
  columns: dict[str, np.ndarray]

  @classmethod
  def read(cls, directory: pathlib.Path) -> "_Scores":
    found = score_sets.ScoreSet.open(directory)
    names = ("score", "mass", "disagreement", "first_first", "second_first")
    columns = {}
    for name in names:
      with contextlib.suppress(artifacts.ArtifactError):
        columns[name] = found.shard_column(respond.ROWS, name)
    statuses = found.shard_column(respond.ROWS, "status").tolist()
    return cls(statuses, columns)

  def scored(self, numbers: np.ndarray) -> np.ndarray:
    """Those of some records that have a score."""
    statuses = np.array(self.statuses, object)
    return numbers[statuses[numbers] == interface.SCORED]


def _of(tasks: Sequence[str], task: str) -> np.ndarray:
  return np.flatnonzero(np.array(tasks, object) == task)


def _counts(scores: _Scores) -> dict[str, Any]:
  counts = collections.Counter(scores.statuses)
  graded = counts.pop(interface.SCORED, 0)
  return {"scored": graded, "unscorable": dict(counts)}


def _mean(
  values: np.ndarray, name: str, sampling: Mapping[str, int]
) -> dict[str, Any]:
  if not len(values):
    return {"value": None, "interval": None}
  seed = suites.seed_of(sampling["seed"], "grades", name)
  return suites.mean_of(
    values.tolist(), resamples=sampling["resamples"], seed=seed
  ).row()


def _graded_row(
  scores: _Scores,
  numbers: np.ndarray,
  name: str,
  sampling: Mapping[str, int],
) -> dict[str, Any]:
  kept = scores.scored(numbers)
  return {
    "records": len(kept),
    "grade": _mean(scores.columns["score"][kept], name, sampling),
    "disagreement": _mean(scores.columns["disagreement"][kept], name, sampling),
  }


def _pair_row(
  scores: _Scores,
  numbers: np.ndarray,
  name: str,
  sampling: Mapping[str, int],
) -> dict[str, Any]:
  kept = scores.scored(numbers)
  values = scores.columns["score"][kept]
  return {
    "records": len(kept),
    "wins": int((values == 1).sum()),
    "ties": int((values == 0.5).sum()),
    "losses": int((values == 0).sum()),
    # A tie is half a win.
    "win_share": _mean(values, name, sampling),
  }


def finite(values: np.ndarray) -> list[float]:
  """The numbers among some."""
  return [float(value) for value in values if np.isfinite(value)]
