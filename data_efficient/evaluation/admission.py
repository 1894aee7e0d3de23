# SPDX-License-Identifier: Apache-2.0
"""Which run directories are compared, and which are left out and why.

One bad directory among hundreds must neither stop the report nor vanish from
it: it is named, with what is wrong and what to do.
"""

import collections
import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from data_efficient.evaluation import runs as run_files
from data_efficient.evaluation.runs import EvaluationError, Run

_SHOWN = 10


class LeftOut(NamedTuple):
  """A directory that no figure was computed from."""

  directory: str
  reason: str


class Admitted(NamedTuple):
  """Runs that may be compared with each other, and the directories left."""

  runs: list[Run]
  left_out: list[LeftOut]


def admit(directories: Sequence[str | pathlib.Path]) -> Admitted:
  """Reads what can be read and compared, and says what cannot.

  Left out are directories that are unfinished or damaged; runs that differ
  from most of the others in compute, network, vocabulary or evaluation sets,
  which another corpus changes too (of equally many, the first ones stay); and
  every run of a sampler, budget and seed that several directories hold: which
  of them is the right one cannot be told, and choosing would choose a figure.

  Raises:
    EvaluationError: no run is left; names the first reasons.
  """
  found, left = _read(directories)
  found, strangers = _alike(found)
  found, clashing = _once(found)
  left = sorted(left + strangers + clashing)
  if not found:
    raise EvaluationError(_nothing(left))
  return Admitted(found, left)


def unfinished(directory: str | pathlib.Path) -> list[pathlib.Path]:
  """Directories beside the finished runs that hold no run.json, sorted."""
  return sorted(
    path
    for path in pathlib.Path(directory).glob("*")
    if path.is_dir() and not (path / "run.json").exists()
  )


def _read(directories) -> tuple[list[Run], list[LeftOut]]:
  found, left = [], []
  for directory in directories:
    try:
      found.append(run_files.read_run(directory))
    except EvaluationError as error:
      left.append(LeftOut(str(directory), str(error)))
  return found, left


def _alike(runs: Sequence[Run]) -> tuple[list[Run], list[LeftOut]]:
  """The largest group of runs that are comparable; the first of equal ones."""
  groups: dict[str, list[Run]] = collections.defaultdict(list)
  for run in runs:
    key = (run.steps, run.batch_size, run.compared_by)
    groups[json.dumps(key, sort_keys=True)].append(run)
  if not groups:
    return [], []
  kept = max(groups.values(), key=len)
  left = []
  for group in groups.values():
    if group is not kept:
      left += [LeftOut(run.directory, _stranger(run, kept[0])) for run in group]
  return kept, left


def _stranger(run: Run, first: Run) -> str:
  try:
    run_files.check_comparable(run, first)
  except EvaluationError as error:
    return str(error)
  # JSON tells 1 from 1.0; the check does not.
  return f"{run.directory}: run.json is written unlike {first.directory}'s"


def _once(runs: Sequence[Run]) -> tuple[list[Run], list[LeftOut]]:
  groups: dict[tuple, list[Run]] = collections.defaultdict(list)
  for run in runs:
    groups[run.sampler, run.budget, run.seed].append(run)
  kept = [group[0] for group in groups.values() if len(group) == 1]
  left = [
    LeftOut(run.directory, _clash(group))
    for group in groups.values()
    if len(group) > 1
    for run in group
  ]
  return kept, left


def _clash(group: Sequence[Run]) -> str:
  run = group[0]
  return (
    f"{', '.join(each.directory for each in group)} all hold sampler "
    f"{run.sampler!r}, budget {run.budget}, seed {run.seed}: a seed may count "
    "once, so none of them does; move all but one away"
  )


def _nothing(left: Sequence[LeftOut]) -> str:
  if not left:
    return (
      "there is no run to evaluate: expected at least one run directory; run "
      "train first, or check the pattern that names the directories"
    )
  reasons = "\n  ".join(entry.reason for entry in left[:_SHOWN])
  return f"no run is left to evaluate; {len(left)} left out:\n  {reasons}"
