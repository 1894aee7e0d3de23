# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location of a dense kernel beside submodlib and apricot.

10,000 targets by 10,000 examples in float32, a budget of 30%; both peers with
their lazy greedy, each with the kernel the way round and in the type that it
takes best. Ours is timed from the kernel to the picks, its transpose included;
so are the peers. apricot compiles on a small kernel before, as we do.
"""

import argparse
import statistics
import time

import apricot
import jax
import numpy as np
import submodlib

from data_efficient.selection import batched, covers, pairwise
from tests.benchmarks import report


def main() -> None:
  """Measures all in turn, prints."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--records", type=int, default=10_000)
  parser.add_argument("--fraction", type=float, default=0.3)
  parser.add_argument("--repeats", type=int, default=3)
  parser.add_argument("--kernel", choices=KERNELS, default="utility")
  parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
  options = parser.parse_args()
  kernel = KERNELS[options.kernel](options.records)
  count = round(options.fraction * options.records)
  _apricot(kernel[:100, :100], 10)
  _ours(kernel, 3)  # compiles
  found: dict[str, np.ndarray] = {}

  def timed(side):
    def measure() -> float:
      began = time.perf_counter()
      found[side] = SIDES[side](kernel, count)
      return time.perf_counter() - began

    return measure

  seconds = report.alternating(
    {side: timed(side) for side in options.sides}, options.repeats
  )
  _print(seconds, found, kernel, options)


def _cosines(records: int) -> np.ndarray:
  """Of vectors round 300 centres of unequal sizes."""
  random = np.random.default_rng(0)
  centres = random.normal(size=(300, 64))
  weights = 1 / np.arange(5, 305)
  chosen = random.choice(300, records, p=weights / weights.sum())
  vectors = centres[chosen] + 0.8 * random.normal(size=(records, 64))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  found = pairwise.aligned(records, records)
  vectors = vectors.astype(np.float32)
  return np.maximum(np.matmul(vectors, vectors.T, out=found), 0, out=found)


def _utilities(records: int) -> np.ndarray:
  """Not symmetric, most pairs worth little, like ones more; clipped at 0."""
  found = _cosines(records)
  random = np.random.default_rng(1)
  for row in found:
    row *= 0.1
    row += random.normal(0.02, 0.1, records).astype(np.float32)
  return np.maximum(found, 0, out=found)


def _uniform(records: int) -> np.ndarray:
  found = pairwise.aligned(records, records)
  random = np.random.default_rng(0)
  for row in found:
    row[:] = random.random(records, np.float32)
  return found


KERNELS = {"utility": _utilities, "cosine": _cosines, "uniform": _uniform}


def _ours(kernel: np.ndarray, count: int) -> np.ndarray:
  return batched.batched(covers.Cover(kernel), count).examples


def _apricot(kernel: np.ndarray, count: int) -> np.ndarray:
  chosen = apricot.FacilityLocationSelection(
    count, metric="precomputed", optimizer="lazy"
  )
  # Its rows are the candidates.
  return chosen.fit(kernel.T).ranking


def _submodlib(kernel: np.ndarray, count: int) -> np.ndarray:
  function = submodlib.FacilityLocationFunction(
    n=len(kernel), mode="dense", sijs=kernel, separate_rep=False
  )
  found = function.maximize(
    budget=count,
    optimizer="LazyGreedy",
    stopIfZeroGain=False,
    stopIfNegativeGain=False,
    show_progress=False,
  )
  return np.array([example for example, _ in found])


SIDES = {"ours": _ours, "apricot": _apricot, "submodlib": _submodlib}


def _objective(kernel: np.ndarray, examples: np.ndarray) -> float:
  most = np.zeros(len(kernel), np.float32)
  for start in range(0, len(examples), 64):
    some = kernel[:, examples[start : start + 64]].max(axis=1)
    np.maximum(most, some, out=most)
  return float(most.sum(dtype=np.float64))


def _print(seconds, found, kernel, options) -> None:
  values = {side: _objective(kernel, found[side]) for side in found}
  report.table(
    f"greedy_dense: {options.kernel} kernel, {options.records:,} records,"
    f" {options.fraction:.0%} kept",
    ["", "seconds: median (range)", "objective"],
    [(side, report.spread(seconds[side]), values[side]) for side in found],
  )
  ours = statistics.median(seconds["ours"])
  peers = {side: seconds[side] for side in found if side != "ours"}
  if not peers:
    return
  best = min(peers, key=lambda side: statistics.median(peers[side]))
  report.last_line(
    "greedy_dense",
    ours=ours,
    peer=statistics.median(peers[best]),
    ratio=statistics.median(report.paired(peers[best], seconds["ours"])),
    limit_fraction=None,
    fastest_peer=best,
    objective_ratio=values["ours"] / max(values[side] for side in peers),
    kernel=options.kernel,
    devices=len(jax.devices()),
  )


if __name__ == "__main__":
  main()
