# SPDX-License-Identifier: Apache-2.0
"""Keeps what an experiment's table rests on, small enough to be committed.

  python -m launch.keep out/NAME configs/results/NAME
  python -m launch.keep configs/results/NAME --again

Of each finished run: run.json, config.gin, the evaluations of its metrics.jsonl
and its suites.json; and results.json. The second form computes results.json
again from these files alone, needs no corpus, and says whether it is the same.
"""

import argparse
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence

from data_efficient.data import artifacts
from data_efficient.data.manifests import differences
from data_efficient.evaluation import measures, results, runs

# What assembling takes as given: facts of the corpus, scores and selections.
_GIVEN = "judge corpus selections agreement command commit".split()
# Says where directories were.
_ELSEWHERE = ("left_out",)


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 1 where results.json is another one when made again."""
  parser = argparse.ArgumentParser(
    prog="launch.keep",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("experiment", type=pathlib.Path)
  parser.add_argument("kept", type=pathlib.Path, nargs="?")
  parser.add_argument("--again", action="store_true", help="compute it again")
  options = parser.parse_args(argv)
  try:
    if not options.again:
      if options.kept is None:
        parser.error("where to? name a directory, or say --again")
      print(f"{keep(options.experiment, options.kept)} runs")
      return 0
    lines = changed(options.experiment)
  except ValueError as error:
    print(error, file=sys.stderr)
    return 2
  print("\n".join(lines) or "the same figures")
  return 1 if lines else 0


def keep(experiment: pathlib.Path, kept: pathlib.Path) -> int:
  """Copies small files of finished runs; the number of runs that are kept.

  Raises:
    EvaluationError: a finished run is damaged.
  """
  found = sorted((experiment / "runs").glob("*/run.json"))
  for facts in found:
    runs.read_run(facts.parent)
    place = kept / "runs" / facts.parent.name
    place.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", "config.gin"):
      if (facts.parent / name).exists():
        shutil.copyfile(facts.parent / name, place / name)
    for path in measures.suite_files(facts.parent):
      found_in = place / path.parent.relative_to(facts.parent)
      found_in.mkdir(parents=True, exist_ok=True)
      shutil.copyfile(path, found_in / path.name)
    rows = "".join(_evaluations(facts.parent / "metrics.jsonl"))
    artifacts.atomic_write(place / "metrics.jsonl", rows.encode())
  if (experiment / "results.json").exists():
    shutil.copyfile(experiment / "results.json", kept / "results.json")
  return len(found)


def _evaluations(path: pathlib.Path) -> Iterator[str]:
  for line in path.read_text().splitlines():
    if "evaluation" in json.loads(line):
      yield f"{line}\n"


def changed(kept: pathlib.Path) -> list[str]:
  """Where results.json differs from what its runs' files say now.

  Raises:
    EvaluationError: no run is left.
    ValueError: no results.json, or a damaged one.
  """
  try:
    before = json.loads((kept / "results.json").read_text())
  except (OSError, json.JSONDecodeError) as error:
    raise ValueError(f"{kept / 'results.json'}: {error}") from error
  again = results.assemble(
    sorted(path.parent for path in kept.glob("runs/*/run.json")),
    scoring_seconds={
      name: row["stages"] for name, row in before["scoring_seconds"].items()
    },
    **{name: before[name] for name in _GIVEN},
  )
  return differences(_comparable(again), _comparable(before))


def _comparable(found: Mapping) -> dict:
  return {name: found[name] for name in found if name not in _ELSEWHERE}


if __name__ == "__main__":
  sys.exit(main())
