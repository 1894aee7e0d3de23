# SPDX-License-Identifier: Apache-2.0
"""Exact weighted sampling of 10% of a score set as large as C4's.

365 million densities in Parquet parts, read, sampled by inverse propensity, and
written as a selection; beside Arrow's plain read of the same parts, which does
nothing else. Both may use all processors. Every measurement is a process of its
own, whose largest memory is read when it ends; the parts are read once before,
so that they come from the page cache as far as it goes. A hundredth of the
records is measured, too: time is to grow no faster than their number.
"""

import argparse
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq

from data_efficient.data import (
  cutting,
  score_set_writer,
  score_sets,
  selections,
)
from data_efficient.selection import budget, importance, inverse_propensity
from tests.benchmarks import report, task_build

RECORDS = 365_000_000
FRACTION = 0.1
# Of a shard of C4: one part a shard.
PART_RECORDS = 2**19


def make(directory: pathlib.Path, records: int) -> None:
  """Writes the score set: densities as unlike each other as text's are."""
  index = task_build.Index(records)
  with score_set_writer.ScoreSetWriter(
    directory,
    identity={"corpus": index.describe()},
    shards=index.shards,
    part_records=PART_RECORDS,
  ) as writer:
    for part in writer.missing_parts():
      generator = np.random.default_rng(int(part.shard[3:]))
      fingerprints = generator.integers(
        2**64, size=part.records, dtype=np.uint64
      )
      scores = np.exp(generator.normal(-3, 1, part.records))
      writer.write(
        part,
        fingerprints=fingerprints,
        statuses=["scored"] * part.records,
        columns={"score": scores.astype(np.float32)},
      )
    writer.finish()


def read_parts(directory: pathlib.Path, records: int) -> int:
  """The peer: Arrow reads every column of every part."""
  return sum(
    pq.read_table(path).num_rows for path in sorted(directory.glob("*.parquet"))
  )


def read_scores(directory: pathlib.Path, records: int) -> int:
  """Arrow reads the one column that selecting needs."""
  return sum(
    pq.read_table(path, columns=["score"]).num_rows
    for path in sorted(directory.glob("*.parquet"))
  )


def select(directory: pathlib.Path, records: int) -> int:
  """Ours: scores to a selection on disk."""
  corpus = task_build.Corpus(records)
  making = cutting.Making(
    corpus=corpus,
    selector=inverse_propensity.InversePropensity(),
    budget=budget.fraction_of_examples(FRACTION),
    weights=importance.Weights.NONE,
    token_counts=None,
    seed=0,
    scores=score_sets.ScoreSet.open(directory),
  )
  output = directory / "selection"
  made = selections.write(
    output,
    identity={"corpus": corpus.index.describe()},
    kept=making.kept(),
    shards=corpus.index.shards,
    summary=making.summary,
  )
  kept = made.records
  shutil.rmtree(output)
  return kept


SIDES = {
  function.__name__: function for function in (read_parts, read_scores, select)
}


def one(side: str, directory: pathlib.Path, records: int) -> None:
  """One measurement, in this process."""
  began = time.perf_counter()
  count = SIDES[side](directory, records)
  seconds = time.perf_counter() - began
  expected = round(FRACTION * records) if side == "select" else records
  if count != expected:
    raise SystemExit(f"{side}: {count} records, expected {expected}")
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(seconds, peak / task_build.GIB)


class Measured:
  """Seconds and GiB of all sides on so many records.

  Args:
    directory: of their score set, made and removed by `with`.
    records: how many.
    repeats: measurements of each side.
  """

  def __init__(self, directory: pathlib.Path, records: int, repeats: int):
    self._directory, self.records = directory, records
    self._repeats = repeats
    self.peaks: dict[str, float] = {}

  def __enter__(self) -> "Measured":
    make(self._directory, self.records)
    self._measure("read_parts")  # the files come into the page cache
    sides = {side: lambda side=side: self._measure(side) for side in SIDES}
    self.seconds = report.alternating(sides, self._repeats)
    return self

  def __exit__(self, *unused: object) -> None:
    shutil.rmtree(self._directory)

  def median(self, side: str) -> float:
    """Seconds of a side."""
    return statistics.median(self.seconds[side])

  def show(self) -> None:
    """Prints the table."""
    report.table(
      f"select_exact: {self.records:,} records, {FRACTION:.0%} kept",
      ["", "seconds: median (range)", "GiB at most"],
      [
        (side, report.spread(self.seconds[side]), self.peaks[side])
        for side in SIDES
      ],
    )

  def _measure(self, side: str) -> float:
    command = [sys.executable, "-m", __spec__.name, f"--side={side}"]
    command += [f"--records={self.records}", f"--directory={self._directory}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, output.stdout.split())
    self.peaks[side] = max(self.peaks.get(side, 0), peak)
    return seconds


def main() -> None:
  """Measures all sides, alternating, on few records and on all."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--records", type=int, default=RECORDS)
  parser.add_argument("--repeats", type=int, default=3)
  parser.add_argument("--directory", help="where the score sets are made")
  parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.side:
    directory = pathlib.Path(arguments.directory)
    one(arguments.side, directory, arguments.records)
    return
  repeats = arguments.repeats
  with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
    root = pathlib.Path(folder)
    with Measured(root / "few", arguments.records // 100, repeats) as few:
      few.show()
    with Measured(root / "all", arguments.records, repeats) as found:
      found.show()
  ratio = found.median("read_parts") / found.median("select")
  report.last_line(
    "select_exact",
    ours=found.median("select"),
    peer=found.median("read_parts"),
    ratio=ratio,
    limit_fraction=ratio,
    gib=found.peaks["select"],
    records=found.records,
    read_scores=found.median("read_scores"),
    few_records=few.records,
    few_ours=few.median("select"),
    # Nanoseconds of a record, in all over in a few: at most 1 if time is
    # linear; start-up weighs more on the few.
    growth=(found.median("select") / found.records)
    / (few.median("select") / few.records),
  )


if __name__ == "__main__":
  main()
