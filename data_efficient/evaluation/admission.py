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
from data_efficient.evaluation.runs import CORPUS, NETWORK, EvaluationError, Run

_SHOWN = 10


class LeftOut(NamedTuple):
  """A directory that no figure was computed from."""

  directory: str
  reason: str


class Admitted(NamedTuple):
  """Runs that may be compared, and the directories left.

  Attributes:
    runs: of one or more networks; those of one network are comparable, and
      what is measured is the same for all.
    left_out: with the reasons.
    corpus_unknown: directories of admitted runs whose run.json does not say of
      which corpus they are.
  """

  runs: list[Run]
  left_out: list[LeftOut]
  corpus_unknown: list[str]


def admit(
  directories: Sequence[str | pathlib.Path], *, corpus: str | None = None
) -> Admitted:
  """Reads what can be read and compared, and says what cannot.

  Left out are, in this order:

  * directories that are unfinished or damaged;
  * runs of another corpus than `corpus`;
  * runs that differ from most of the others in corpus, vocabulary, evaluation
    sets, sequence lengths or batch size. Networks and steps may differ;
  * runs that differ from most of the others of their network in steps;
  * every run of a network, sampler, budget and seed that several directories
    hold: which of them is the right one cannot be told, and choosing would
    choose a figure.

  Of equally many, the first ones stay. A run.json that does not state a corpus
  (they did not always) counts as of the corpus of those runs that it agrees
  with in all else, if these are of one: the fingerprint of an evaluation set
  that was split off a corpus depends on all of that corpus. If they are of
  several, it is one more that differs.

  Args:
    directories: of runs.
    corpus: fingerprint of the corpus that they must be of; None: the corpus of
      most of them.

  Raises:
    EvaluationError: no run is left; names the first reasons.
  """
  found, left = _read(directories)
  found, others = _of_corpus(found, corpus)
  found, strangers = _alike(_with_corpus(found), but=(NETWORK, "steps"))
  kept: list[Run] = []
  for group in by_network(found).values():
    alike, uneven = _alike(group, but=())
    once, clashing = _once(alike)
    kept += once
    strangers += uneven + clashing
  left = sorted(left + others + strangers)
  if not kept:
    raise EvaluationError(_nothing(left))
  unknown = [run.directory for run in kept if run.corpus_assumed]
  return Admitted(kept, left, unknown)


def by_network(runs: Sequence[Run]) -> dict[str, list[Run]]:
  """Runs by the JSON of their network, in the order of the first ones."""
  groups: dict[str, list[Run]] = collections.defaultdict(list)
  for run in runs:
    groups[network_key(run)].append(run)
  return dict(groups)


def network_key(run: Run) -> str:
  """What is equal for runs of equal networks alone."""
  return json.dumps(run.compared_by.get(NETWORK), sort_keys=True)


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


def _of_corpus(
  runs: Sequence[Run], corpus: str | None
) -> tuple[list[Run], list[LeftOut]]:
  """The runs of a corpus, and those that do not say of which they are."""
  if corpus is None:
    return list(runs), []
  kept, left = [], []
  for run in runs:
    if run.corpus in (None, corpus):
      kept.append(run)
    else:
      reason = (
        f"{run.directory}: trained on another corpus: run.json has corpus "
        f"{run.corpus}, evaluated is {corpus}; evaluate it with its own corpus"
      )
      left.append(LeftOut(run.directory, reason))
  return kept, left


def _with_corpus(runs: Sequence[Run]) -> list[Run]:
  """Runs without a corpus get that of the runs they agree with in all else."""
  corpora: dict[str, set[str]] = collections.defaultdict(set)
  but = (NETWORK, "steps", CORPUS)
  for run in runs:
    if run.corpus is not None:
      corpora[_key(run, but)].add(run.corpus)
  found = []
  for run in runs:
    if run.corpus is None:
      named = corpora[_key(run, but)]
      compared_by = dict(run.compared_by)
      if len(named) == 1:
        compared_by[CORPUS] = next(iter(named))
      run = run._replace(compared_by=compared_by, corpus_assumed=True)
    found.append(run)
  return found


def _key(run: Run, but: Sequence[str]) -> str:
  compared_by = {k: v for k, v in run.compared_by.items() if k not in but}
  steps = None if "steps" in but else run.steps
  return json.dumps((steps, run.batch_size, compared_by), sort_keys=True)


def _alike(
  runs: Sequence[Run], *, but: Sequence[str]
) -> tuple[list[Run], list[LeftOut]]:
  """The largest group of runs that are comparable; the first of equal ones."""
  groups: dict[str, list[Run]] = collections.defaultdict(list)
  for run in runs:
    groups[_key(run, but)].append(run)
  if not groups:
    return [], []
  kept = max(groups.values(), key=len)
  left = []
  for group in groups.values():
    if group is not kept:
      left += [
        LeftOut(run.directory, _stranger(run, kept[0], but)) for run in group
      ]
  return kept, left


def _stranger(run: Run, first: Run, but: Sequence[str]) -> str:
  try:
    run_files.check_comparable(run, first, but=but)
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
