# SPDX-License-Identifier: Apache-2.0
"""The verb `grade`: what an LLM judge says of the responses of some runs.

Each run's responses are graded beside their references, and, where a baseline
is named, compared with its responses to the same tasks. Each is a score set,
part by part; the figures stand in grades.json.
"""

import collections
import contextlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from data_efficient import processes, progress
from data_efficient.cli import cost, hardware, respond, train
from data_efficient.data import (
  artifacts,
  instructions,
  locks,
  score_set_writer,
  score_sets,
)
from data_efficient.evaluation import suites
from data_efficient.scorers import grading, interface
from data_efficient.scorers.templates import Instruction

FILE = "grades.json"
_CONFIG = "config.gin"


class GradeError(ValueError):
  """Responses that cannot be graded, or not be compared."""


class Responses(NamedTuple):
  """What a run answered, without records that nothing was asked of.

  Attributes:
    name: of the run's directory.
    digest: of its responses.jsonl.
    rows: of it.
  """

  name: str
  digest: str
  rows: list[dict[str, Any]]

  @property
  def fingerprints(self) -> np.ndarray:
    """Of each task and its reference, uint64 [n]."""
    pairs = (Instruction(row["prompt"], row["reference"]) for row in self.rows)
    return np.array(list(map(instructions.fingerprint, pairs)), np.uint64)


class _Work(NamedTuple):
  """A score set that is to be made.

  Attributes:
    name: of its directory.
    runs: whose responses it is about, one or two.
    items: what is asked, one a row.
    score: scores some of them.
  """

  name: str
  runs: tuple[Responses, ...]
  items: Sequence[Any]
  score: Callable[..., interface.Scores]


def grade(
  *,
  directory: str,
  runs: Sequence[str],
  grader: grading.Grader,
  baseline: str | None,
  resamples: int,
  seed: int,
) -> None:
  """Grades, and compares; does nothing when it is done.

  Leaves config.gin, a score set for each run and each pair, and grades.json.

  Args:
    directory: where they go.
    runs: directories of the verb `respond`.
    grader: the judge.
    baseline: one of the runs, which the others are compared with; None:
      nothing is compared.
    resamples: bootstrap samples.
    seed: of these.

  Raises:
    GradeError: a run without responses, or runs of different tests.
    GradingError: a judge that is mostly outside its scale.
    ArtifactError: the directory holds grades of another configuration, judge
      or responses.
  """
  processes.join()
  root = pathlib.Path(directory)
  found = _read(runs)
  compared = _compared(found, runs, baseline)
  works = [_graded(grader, one) for one in found]
  works += [
    _pair(grader, one, compared)
    for one in found
    if one is not compared and compared is not None
  ]
  with processes.first_alone("grades opened"):
    if processes.is_first():
      root.mkdir(parents=True, exist_ok=True)
      train.keep_config(root / _CONFIG)
  done = [_made(root, grader, work) for work in works]
  if not processes.is_first():
    return
  with locks.exclusive(root):
    if all(done) and (root / FILE).exists():
      print(f"{root}: done before")
      return
    sampling = {"resamples": resamples, "seed": seed}
    with cost.measured(root):
      table = _table(root, grader, works, sampling)
      data = json.dumps(table, indent=1, ensure_ascii=False).encode()
      artifacts.atomic_write(root / FILE, data)
  _print(root, table)


def _read(runs: Sequence[str]) -> list[Responses]:
  names = [pathlib.Path(run).name for run in runs]
  if not runs or isinstance(runs, str) or len(set(names)) < len(names):
    raise GradeError(
      f"RUNS = {runs!r}: expected a list of directories with different names"
    )
  return list(map(read, runs))


def read(run: str) -> Responses:
  """The responses of a run.

  Raises:
    GradeError: there are none.
  """
  path = pathlib.Path(run, respond.ROWS)
  if not pathlib.Path(run, respond.FILE).exists() or not path.exists():
    raise GradeError(
      f"{run}: no finished responses there: run `respond` with OUTPUT={run}"
    )
  data = path.read_bytes()
  lines = data.decode("utf-8").split("\n")
  rows = [json.loads(line) for line in lines if line]
  asked = [row for row in rows if row["status"] == interface.SCORED]
  name = pathlib.Path(run).name
  return Responses(name, xxhash.xxh3_128_hexdigest(data), asked)


def _compared(
  found: Sequence[Responses], runs: Sequence[str], baseline: str | None
) -> Responses | None:
  """The responses that others are compared with."""
  if baseline is None:
    return None
  if baseline not in runs or len(runs) < 2:
    raise GradeError(
      f"BASELINE = {baseline!r}: expected one of RUNS, {list(runs)}, and a "
      "second run beside it"
    )
  chosen = found[list(runs).index(baseline)]
  for one in found:
    same = np.array_equal(one.fingerprints, chosen.fingerprints)
    if not same:
      raise GradeError(
        f"{one.name} and {chosen.name} answered different tests "
        f"({len(one.rows):,} and {len(chosen.rows):,} records): compare runs "
        "of `respond` with the same TEST and MAX_TOKENS"
      )
  return chosen


def _graded(grader: grading.Grader, one: Responses) -> _Work:
  items = [
    grading.Graded(row["prompt"], row["reference"], row["response"])
    for row in one.rows
  ]
  return _Work(one.name, (one,), items, grader.grade)


def _pair(grader: grading.Grader, first: Responses, second: Responses) -> _Work:
  items = [
    grading.Compared(
      mine["prompt"], mine["reference"], mine["response"], other["response"]
    )
    for mine, other in zip(first.rows, second.rows, strict=True)
  ]
  name = f"{first.name}_against_{second.name}"
  return _Work(name, (first, second), items, grader.compare)


def _made(root: pathlib.Path, grader: grading.Grader, work: _Work) -> bool:
  """Makes a score set; whether it was there before."""
  fingerprints = work.runs[0].fingerprints
  shards = {respond.ROWS: len(work.items)}
  identity = {
    "corpus": {
      "name": work.name,
      "shards": shards,
      "responses": {one.name: one.digest for one in work.runs},
    },
    "scorer": grader.identity(),
    "numerics": hardware.numerics(),
  }
  with contextlib.ExitStack() as stack:
    with processes.first_alone(f"{work.name} opened"):
      writer = stack.enter_context(
        score_set_writer.ScoreSetWriter(
          root / work.name,
          identity=identity,
          shards=shards,
          part_records=grader.part_records,
          member=processes.index(),
        )
      )
      missing = writer.missing_parts()
    processes.wait("parts listed")
    if writer.complete:
      return True
    own = processes.share(missing)
    total = 2 * sum(part.records for part in own)
    with (
      cost.measured(root),
      progress.bar(f"grade {work.name}", total=total) as advance,
    ):
      for part in own:
        some = slice(part.start, part.start + part.records)
        scores = work.score(work.items[some], advance)
        if part.start == 0:
          # Hours sooner than at the end.
          grader.check(scores.statuses, _finite(scores.columns["mass"]))
        writer.write(
          part,
          fingerprints=fingerprints[some],
          statuses=scores.statuses,
          columns=scores.columns,
        )
    processes.wait("parts written")
    writer.merge(share=processes.index(), of=processes.count())
    processes.wait("parts merged")
    if processes.is_first():
      writer.finish(scorer=grader.name)
  return False


def _finite(values: np.ndarray) -> list[float]:
  return [float(value) for value in values if np.isfinite(value)]


def _table(
  root: pathlib.Path,
  grader: grading.Grader,
  works: Sequence[_Work],
  sampling: Mapping[str, int],
) -> dict[str, Any]:
  """What grades.json holds."""
  table: dict[str, Any] = {
    "judge": grader.judge.name,
    "scale": dict(grader.rubric.scale),
    "runs": {},
    "pairs": {},
  }
  for work in works:
    scores = _Scores.read(root / work.name)
    grader.check(scores.statuses, _finite(scores.columns["mass"]))
    tasks = [row["task"] for row in work.runs[0].rows]
    kind = "runs" if len(work.runs) == 1 else "pairs"
    found = _graded_row if kind == "runs" else _pair_row
    table[kind][work.name] = {
      **_counts(scores),
      "overall": found(scores, np.arange(len(tasks)), "", sampling),
      "tasks": {
        task: found(scores, _of(tasks, task), task, sampling)
        for task in sorted(set(tasks))
      },
    }
  return {**table, "commit": cost.commit()}


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


def _print(root: pathlib.Path, table: Mapping[str, Any]) -> None:
  for name, row in (table["runs"] | table["pairs"]).items():
    for status, count in row["unscorable"].items():
      print(f"{name}: {count:,} are {status}")
  for name, row in table["runs"].items():
    found = row["overall"]
    if found["records"]:
      print(
        f"{name}: grade {found['grade']['value']:.3f}, of which the order "
        f"moves {found['disagreement']['value']:.3f}"
      )
  for name, row in table["pairs"].items():
    found = row["overall"]
    print(
      f"{name}: {found['wins']} wins, {found['ties']} ties, "
      f"{found['losses']} losses"
    )
  print(root / FILE)
