# SPDX-License-Identifier: Apache-2.0
"""The verb `grade`: what an LLM judge says of the responses of some runs.

Each run's responses are graded beside their references, and, where a baseline
is named, compared with its responses to the same tasks. Each is a score set,
part by part; the figures stand in grades.json.
"""

import contextlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient import processes, progress
from data_efficient.cli import (
  cost,
  grade_tables,
  graded_responses,
  hardware,
  respond,
  train,
)
from data_efficient.cli.graded_responses import Responses, Work
from data_efficient.data import (
  artifacts,
  locks,
  score_set_writer,
)
from data_efficient.scorers import grading

FILE = "grades.json"
_CONFIG = "config.gin"


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
  found = graded_responses.read_all(runs)
  compared = graded_responses.compared(found, runs, baseline)
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
      table = grade_tables.table(root, grader, works, sampling)
      data = json.dumps(table, indent=1, ensure_ascii=False).encode()
      artifacts.atomic_write(root / FILE, data)
  _print(root, table)


def _graded(grader: grading.Grader, one: Responses) -> Work:
  items = [
    grading.Graded(row["prompt"], row["reference"], row["response"])
    for row in one.rows
  ]
  return Work(one.name, (one,), items, grader.grade)


def _pair(grader: grading.Grader, first: Responses, second: Responses) -> Work:
  items = [
    grading.Compared(
      mine["prompt"], mine["reference"], mine["response"], other["response"]
    )
    for mine, other in zip(first.rows, second.rows, strict=True)
  ]
  name = f"{first.name}_against_{second.name}"
  return Work(name, (first, second), items, grader.compare)


def _made(root: pathlib.Path, grader: grading.Grader, work: Work) -> bool:
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
          grader.check(
            scores.statuses, grade_tables.finite(scores.columns["mass"])
          )
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
