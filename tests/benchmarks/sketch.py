# SPDX-License-Identifier: Apache-2.0
"""Sketch updates and queries beside NumPy, RACE's C++, and what is possible.

The paper's size: 1,000 rows of 20,000 buckets over 768 dimensions. NumPy
multiplies blocks and counts with `bincount`, row by row or all rows at once;
the peer is the faster one. What is possible is the time of the matrix product
alone, measured in XLA on the same block, and of one walk over the counters a
block (x + 1 for an update, their sum for a query).

RACE_PATH=DIR names a checkout of github.com/brc7/RACEKernels; its L2 hashes
and its counters are then compiled and measured too, vector by vector, which is
how it works.
"""

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from data_efficient.kernels import p_stable, sketch  # noqa: E402
from tests.benchmarks import race, report  # noqa: E402

WIDTH = 1.0
PASSES = ("update", "query")


class Ours:
  """`kernels.sketch`, block by block."""

  def __init__(self, vectors: np.ndarray, options, *, structured: bool = False):
    self._blocks = np.split(vectors, len(vectors) // options.block)
    self._mask = np.ones(options.block, bool)
    self.hashes = p_stable.init(
      jax.random.key(0),
      dimensions=options.dimensions,
      num_rows=options.rows,
      width=WIDTH,
      structured=structured,
    )
    self.sketch = sketch.init(
      num_rows=options.rows, num_buckets=options.buckets
    )

  def update(self) -> None:
    for block in self._blocks:
      self.sketch = sketch.update(
        self.sketch, self.hashes, block, mask=self._mask
      )
    jax.block_until_ready(self.sketch)

  def query(self) -> np.ndarray:
    found = [
      sketch.query(self.sketch, self.hashes, block) for block in self._blocks
    ]
    return np.concatenate(found)


class Numpy:
  """The same sketch in NumPy; buckets are codes modulo B."""

  def __init__(self, vectors: np.ndarray, options, *, by_rows: bool):
    self._blocks = np.split(vectors, len(vectors) // options.block)
    generator = np.random.default_rng(0)
    shape = (options.rows, options.dimensions)
    self._directions = generator.normal(size=shape).astype(np.float32) / WIDTH
    self._offsets = generator.random((options.rows, 1), np.float32)
    self._buckets, self._by_rows = options.buckets, by_rows
    self._starts = options.buckets * np.arange(options.rows)[:, None]
    self.counts = np.zeros((options.rows, options.buckets), np.int32)

  def _found(self, block: np.ndarray) -> np.ndarray:
    projections = self._directions @ block.T
    projections += self._offsets
    codes = np.floor(projections, out=projections).astype(np.int32)
    return np.mod(codes, np.int32(self._buckets), out=codes)

  def update(self) -> None:
    for block in self._blocks:
      found = self._found(block)
      if self._by_rows:
        for row, counts in zip(found, self.counts, strict=True):
          counts += np.bincount(row, minlength=self._buckets)
      else:
        line = (found + self._starts).ravel()
        new = np.bincount(line, minlength=self.counts.size)
        self.counts += new.reshape(self.counts.shape)

  def query(self) -> np.ndarray:
    sums = []
    for block in self._blocks:
      found = self._found(block)
      if self._by_rows:
        total = np.zeros(len(block), np.int64)
        for row, counts in zip(found, self.counts, strict=True):
          total += counts[row]
      else:
        total = np.take(self.counts, found + self._starts).sum(axis=0)
      sums.append(total)
    return np.concatenate(sums) / len(self.counts)


class Limit:
  """A block's matrix product, and a walk over the counters."""

  def __init__(self, vectors: np.ndarray, ours: Ours, options):
    self._blocks = np.split(vectors, len(vectors) // options.block)
    directions = ours.hashes.projection.directions[0]
    self._product = jax.jit(
      lambda block: jnp.matmul(
        directions, block.T, precision=jax.lax.Precision.HIGHEST
      )
    )
    self._one_more = jax.jit(lambda counts: counts + 1, donate_argnums=0)
    self._sum = jax.jit(jnp.sum)
    self._counts = jnp.zeros((options.rows, options.buckets), jnp.int32)

  def update(self) -> None:
    for block in self._blocks:
      self._counts = self._one_more(self._counts)
      jax.block_until_ready((self._product(block), self._counts))

  def query(self) -> None:
    for block in self._blocks:
      jax.block_until_ready((self._product(block), self._sum(self._counts)))


def _rate(work: Callable[[], object], units: int, cpu: list[float]) -> float:
  """Vectors a second; `cpu` gets microseconds of CPU a vector.

  The latter hardly depend on what else runs on the machine.
  """
  began, busy = time.perf_counter(), time.process_time()
  work()
  cpu.append(1e6 * (time.process_time() - busy) / units)
  return units / (time.perf_counter() - began)


def _check(estimates: np.ndarray, peers: np.ndarray, vectors: int) -> None:
  """Raises SystemExit unless both estimate the same sums."""
  gap = np.abs(estimates / peers - 1).mean()
  if gap > 0.2:
    raise SystemExit(f"ours and NumPy's sums of {vectors} differ by {gap:.1%}")


def _data(options) -> np.ndarray:
  """Unit vectors around a hundred centres."""
  generator = np.random.default_rng(1)
  centres = generator.normal(size=(100, options.dimensions))
  labels = generator.integers(0, 100, options.vectors)
  noise = generator.normal(size=(options.vectors, options.dimensions))
  vectors = centres[labels] + 0.7 * noise
  lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
  return (vectors / lengths).astype(np.float32)


def _together(update: list[float], query: list[float]) -> list[float]:
  """Vectors a second through both passes."""
  return [
    1 / (1 / one + 1 / other) for one, other in zip(update, query, strict=True)
  ]


def main() -> None:
  """Measures all sides in turn, and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--vectors", type=int, default=16_384)
  parser.add_argument("--block", type=int, default=4096)
  parser.add_argument("--rows", type=int, default=1000)
  parser.add_argument("--buckets", type=int, default=20_000)
  parser.add_argument("--dimensions", type=int, default=768)
  parser.add_argument("--repeats", type=int, default=5)
  options = parser.parse_args()
  vectors = _data(options)
  ours = Ours(vectors, options)
  sides = {
    "ours": ours,
    "ours, structured": Ours(vectors, options, structured=True),
    "NumPy, by rows": Numpy(vectors, options, by_rows=True),
    "NumPy, at once": Numpy(vectors, options, by_rows=False),
    "limit": Limit(vectors, ours, options),
  }
  units = dict.fromkeys(sides, len(vectors))
  peer = race.compiled(vectors[:256], options, WIDTH)
  if peer is not None:
    sides["RACE, C++"], units["RACE, C++"] = peer, 256
  first = {}
  for name, side in sides.items():  # compiles, and touches all memory
    side.update()
    first[name] = side.query()
  _check(first["ours"], first["NumPy, by rows"], len(vectors))
  cpu = {(name, what): [] for name in sides for what in PASSES}
  found = report.alternating(
    {
      (name, what): functools.partial(
        _rate, getattr(sides[name], what), units[name], cpu[name, what]
      )
      for name, what in cpu
    },
    options.repeats,
  )
  _print(found, cpu, list(sides), options)


def _print(found: dict, cpu: dict, names: list[str], options) -> None:
  spent = {
    name: sum(statistics.median(cpu[name, what]) for what in PASSES)
    for name in names
  }
  both = {
    name: _together(found[name, "update"], found[name, "query"])
    for name in names
  }
  middle = {name: statistics.median(rates) for name, rates in both.items()}
  report.table(
    f"sketch: {options.rows} x {options.buckets:,}, {options.dimensions} "
    f"dimensions, blocks of {options.block}",
    ["", "updates/s: median (range)", "queries/s", "both/s", "CPU µs of both"],
    [
      (
        name,
        report.spread(found[name, "update"]),
        report.spread(found[name, "query"]),
        report.spread(both[name]),
        spent[name],
      )
      for name in names
    ],
  )
  fastest = max(
    (name for name in names if name.startswith("NumPy")), key=middle.get
  )
  fractions = {
    what: statistics.median(
      report.paired(found["ours", what], found["limit", what])
    )
    for what in PASSES
  }
  paired = report.paired(both["ours"], both[fastest])
  report.last_line(
    "sketch",
    ours=middle["ours"],
    peer=middle[fastest],
    ratio=statistics.median(paired),
    limit_fraction=statistics.median(
      report.paired(both["ours"], both["limit"])
    ),
    peer_is=fastest,
    ratio_at_once=statistics.median(
      report.paired(both["ours"], both["NumPy, at once"])
    ),
    updates=statistics.median(found["ours", "update"]),
    queries=statistics.median(found["ours", "query"]),
    update_limit_fraction=fractions["update"],
    query_limit_fraction=fractions["query"],
    structured=middle["ours, structured"],
    structured_ratio=statistics.median(
      report.paired(both["ours, structured"], both["ours"])
    ),
    race=middle.get("RACE, C++"),
    cpu_ratio=spent[fastest] / spent["ours"],
    cpu_limit_fraction=spent["limit"] / spent["ours"],
    cpu_structured_ratio=spent["ours"] / spent["ours, structured"],
  )


if __name__ == "__main__":
  main()
