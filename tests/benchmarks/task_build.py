# SPDX-License-Identifier: Apache-2.0
"""A score set as large as C4's (365 million records) to the filter's bitmap.

Beside the plain read of its score column by Arrow. Every measurement is a
process of its own, whose largest memory is read when it ends. The score set is
synthetic, about 5 GB on disk, and is kept for the next time.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

from data_efficient.data import (
  cutting,
  pools,
  score_set_writer,
  score_sets,
  selections,
)
from data_efficient.selection import budget, importance, top
from tests.benchmarks import report

RECORDS = 365_000_000
SHARDS = 1024  # of C4's training split
FRACTION = 0.1
REPEATS = 3
GIB = 2**30


class Index:
  """A corpus index without a corpus."""

  def __init__(self, records: int):
    edges = np.linspace(0, records, SHARDS + 1).astype(int)
    counts = np.diff(edges).tolist()
    self.shards = {f"c4-{i:05d}": count for i, count in enumerate(counts)}

  def describe(self) -> dict:
    """As `CorpusIndex.describe`."""
    total = sum(self.shards.values())
    fields = {"name": "synthetic", "fingerprint": "0", "records": total}
    return fields | {"shards": self.shards}

  def source_counts(self, shard: str, positions: np.ndarray) -> dict[str, int]:
    """All of one source."""
    return {"c4": len(positions)}


class Corpus:
  """All of it is the pool."""

  def __init__(self, records: int):
    self.index = Index(records)

  def pool_mask(self, shard: str) -> np.ndarray:
    """True everywhere."""
    return np.ones(self.index.shards[shard], bool)


def make(directory: pathlib.Path, records: int) -> None:
  """Writes the score set, unless it is there."""
  index = Index(records)
  with score_set_writer.ScoreSetWriter(
    directory,
    identity={"corpus": index.describe()},
    shards=index.shards,
    part_records=2**19,
  ) as writer:
    for part in writer.missing_parts():
      generator = np.random.default_rng(int(part.shard[3:]))
      scores = -generator.exponential(2.0, part.records)
      writer.write(
        part,
        fingerprints=generator.integers(
          2**64, size=part.records, dtype=np.uint64
        ),
        statuses=["scored"] * part.records,
        columns={"score": scores.astype(np.float32)},
      )
    if not writer.complete:
      writer.finish()


def plain_read(directory: pathlib.Path, records: int) -> int:
  """The peer: Arrow reads the column, and nothing else is done."""
  import pyarrow.parquet as pq

  columns = [
    pq.read_table(path, columns=["score"], use_threads=False)[
      "score"
    ].to_numpy()
    for path in sorted(directory.glob("*.parquet"))
  ]
  return sum(map(len, columns))


def open_at_fraction(directory: pathlib.Path, records: int) -> int:
  """Score set to bitmap."""
  scores = score_sets.ScoreSet.open(directory)
  amount = budget.fraction_of_examples(FRACTION)
  pool = pools.Pool(
    corpus=Corpus(records),
    selector=top.Top(highest=True),
    seed=0,
    scores=scores,
  )
  ranked, first = pool.ranking(), 0
  mask = np.zeros(records, bool)
  kept = ranked.kept(budget.cut(ranked, amount))
  for size, found in zip(pool.sizes, kept, strict=True):
    mask[first + found.rows] = True
    first += size
  bits = np.packbits(mask, bitorder="little")
  return int(np.bitwise_count(bits).sum(dtype=np.int64))


def select_and_open(directory: pathlib.Path, records: int) -> int:
  """All that the first build of a task does: select, write, read, pack."""
  corpus = Corpus(records)
  making = cutting.Making(
    corpus=corpus,
    selector=top.Top(highest=True),
    budget=budget.fraction_of_examples(FRACTION),
    weights=importance.Weights.NONE,
    token_counts=None,
    seed=0,
    scores=score_sets.ScoreSet.open(directory),
  )
  selections.write(
    directory / f"selection-{time.time_ns()}",
    identity={"corpus": corpus.index.describe()},
    kept=making.kept(),
    shards=corpus.index.shards,
    summary=making.summary,
  )
  return later_build(directory, records)


def later_build(directory: pathlib.Path, records: int) -> int:
  """What every later build does: the newest selection to a bitmap."""
  newest = max(directory.glob("selection-*"))
  bits = selections.Selection.open(newest).bitmap().bits
  return int(np.bitwise_count(bits).sum(dtype=np.int64))


SIDES = {
  function.__name__: function
  for function in (plain_read, open_at_fraction, select_and_open, later_build)
}


def one(side: str, directory: pathlib.Path, records: int) -> None:
  """One measurement, in this process."""
  began = time.perf_counter()
  count = SIDES[side](directory, records)
  seconds = time.perf_counter() - began
  expected = records if side == "plain_read" else round(FRACTION * records)
  if count != expected:
    raise SystemExit(f"{side}: {count} records, expected {expected}")
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  print(seconds, peak)


def main() -> None:
  """Measures all sides, alternating."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--records", type=int, default=RECORDS)
  parser.add_argument("--directory", default="out/benchmarks/task_build")
  parser.add_argument("--side", choices=sorted(SIDES))
  arguments = parser.parse_args()
  directory = pathlib.Path(arguments.directory)
  if arguments.side:
    one(arguments.side, directory, arguments.records)
    return
  make(directory, arguments.records)
  peaks: dict[str, float] = {}

  def measure(side: str) -> float:
    command = [sys.executable, "-m", __spec__.name, f"--side={side}"]
    command += [f"--records={arguments.records}", f"--directory={directory}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, output.stdout.split())
    peaks[side] = max(peaks.get(side, 0), peak / GIB)
    return seconds

  measure("plain_read")  # the files come into the page cache
  sides = {side: lambda side=side: measure(side) for side in SIDES}
  seconds = report.alternating(sides, REPEATS)
  report.table(
    f"task_build: {arguments.records:,} records, {FRACTION:.0%} kept",
    ["", "seconds: median (range)", "GiB at most"],
    [(side, report.spread(seconds[side]), peaks[side]) for side in SIDES],
  )
  middle = {side: statistics.median(seconds[side]) for side in SIDES}
  ratio = middle["plain_read"] / middle["open_at_fraction"]
  report.last_line(
    "task_build",
    ours=middle["open_at_fraction"],
    peer=middle["plain_read"],
    ratio=ratio,
    limit_fraction=ratio,
    gib=peaks["open_at_fraction"],
    select_and_open=middle["select_and_open"],
    later_build=middle["later_build"],
  )


if __name__ == "__main__":
  main()
