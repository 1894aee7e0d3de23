# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location of 64 neighbours a record, a budget of 10%.

50,000 records beside apricot's sparse facility location (lazy), then a million
of ours: time is to grow no faster than records^1.15, in 8 GiB. Points lie in
three dimensions round centres, some close together and some far apart; their
nearest are found by a k-d tree, which is not timed. Every measurement is a
process of its own, whose largest memory is read when it ends.
"""

import argparse
import math
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import scipy.sparse
import scipy.spatial

from tests.benchmarks import report, task_build

NEIGHBOURS, FRACTION = 64, 0.1


def kernel(records: int) -> scipy.sparse.csr_array:
  """exp(−distance/scale) of the nearest, itself among them."""
  random = np.random.default_rng(0)
  centres = 6 * random.normal(size=(max(records // 500, 1), 3))
  points = centres[random.integers(len(centres), size=records)]
  widths = random.uniform(0.3, 1.5, (records, 1))
  points = points + widths * random.normal(size=(records, 3))
  distances, near = scipy.spatial.cKDTree(points).query(
    points, NEIGHBOURS, workers=-1
  )
  scale = np.median(distances[:: max(records // 1000, 1)])
  values = np.exp(-distances / scale).astype(np.float32)
  starts = np.arange(0, records * NEIGHBOURS + 1, NEIGHBOURS, dtype=np.int32)
  return scipy.sparse.csr_array(
    (values.ravel(), near.astype(np.int32).ravel(), starts),
    shape=(records, records),
  )


def ours(pairs: scipy.sparse.csr_array, count: int) -> np.ndarray:
  """Ours: from the kernel to the picks."""
  from data_efficient.selection import batched, sparse_covers

  return batched.batched(sparse_covers.SparseCover(pairs), count).examples


def peer(pairs: scipy.sparse.csr_array, count: int) -> np.ndarray:
  """apricot, whose rows are the candidates."""
  import apricot

  def fitted(turned, count):
    return apricot.FacilityLocationSelection(
      count, metric="precomputed", optimizer="lazy"
    ).fit(turned)

  return fitted(scipy.sparse.csr_matrix(pairs.T), count).ranking


SIDES = {function.__name__: function for function in (ours, peer)}


def one(side: str, records: int) -> None:
  """One measurement, in this process: seconds, objective, GiB."""
  pairs = kernel(records)
  small = kernel(1000)
  SIDES[side](small, 10)  # imports and compiles
  began = time.perf_counter()
  examples = SIDES[side](pairs, round(FRACTION * records))
  seconds = time.perf_counter() - began
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  chosen = pairs.tocsc()[:, np.sort(examples)]
  objective = float(chosen.max(axis=1).toarray().sum(dtype=np.float64))
  print(seconds, objective, peak / task_build.GIB)


def measured(side: str, records: int) -> tuple[float, float, float]:
  """One measurement, in a process of its own."""
  command = [sys.executable, "-m", "tests.benchmarks.greedy_sparse"]
  done = subprocess.run(
    [*command, "--one", side, "--records", str(records)],
    check=True,
    capture_output=True,
    text=True,
  )
  seconds, objective, peak = map(float, done.stdout.split())
  return seconds, objective, peak


def main() -> None:
  """Measures both in turn, then the million, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--one", choices=SIDES)
  parser.add_argument("--records", type=int, default=50_000)
  parser.add_argument("--most", type=int, default=1_000_000)
  parser.add_argument("--repeats", type=int, default=3)
  options = parser.parse_args()
  if options.one:
    one(options.one, options.records)
    return
  found: dict[str, list] = {side: [] for side in SIDES}

  def timed(side):
    def measure() -> float:
      found[side].append(measured(side, options.records))
      return found[side][-1][0]

    return measure

  seconds = report.alternating(
    {side: timed(side) for side in SIDES}, options.repeats
  )
  most = measured("ours", options.most)
  _print(seconds, found, most, options)


def _print(seconds, found, most, options) -> None:
  rows = [
    (side, options.records, report.spread(seconds[side]), *found[side][0][1:])
    for side in SIDES
  ]
  report.table(
    f"greedy_sparse: {NEIGHBOURS} neighbours, {FRACTION:.0%} kept",
    ["", "records", "seconds: median (range)", "objective", "GiB at most"],
    [*rows, ("ours", options.most, *most)],
  )
  mine, theirs = (statistics.median(seconds[side]) for side in ("ours", "peer"))
  growth = math.log(most[0] / mine) / math.log(options.most / options.records)
  report.last_line(
    "greedy_sparse",
    ours=mine,
    peer=theirs,
    ratio=statistics.median(report.paired(seconds["peer"], seconds["ours"])),
    limit_fraction=None,
    objective_ratio=found["ours"][0][1] / found["peer"][0][1],
    most_seconds=most[0],
    most_gib=most[2],
    exponent=growth,
  )


if __name__ == "__main__":
  main()
