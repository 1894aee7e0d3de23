# SPDX-License-Identifier: Apache-2.0
"""Density: how crowded the neighbourhood of a record's embedding is.

  score(y) = (1/N) Σ_{x ∈ pool} k(‖x − y‖)ᴸ

with the collision kernel of a p-stable hash, estimated in two linear passes
by a count sketch (arXiv 2402.09668, Sec. 3.2, Algorithm 2). Select from it
with `InversePropensity`.
"""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Shaped

from data_efficient import progress
from data_efficient.kernels import hashing, sketch
from data_efficient.scorers import bandwidth, interface, subsample

LARGEST_TOTAL = 2**31 - 1

Matrix = Shaped[np.ndarray, "n d"]


class DensityError(ValueError):
  """Embeddings that no density can be made from."""


class State(NamedTuple):
  """What pass 1 leaves for pass 2."""

  hashes: hashing.PStableHash
  sketch: sketch.Sketch


@dataclasses.dataclass(kw_only=True)
class Density:
  """Scores embeddings by the density of the pool around them.

  Attributes:
    num_rows: R, hash rows; the error falls as 1/√R (the paper: 1,000).
    num_buckets: B, counters a row (the paper: 20,000).
    bandwidth: the rule that gives the width of a cell.
    seed: of the hash rows and of the bandwidth's sample.
    block: vectors hashed at once; R·block codes are held, 4 bytes each.
    hashes_per_row: L, hashes that must agree; the paper has 1. The kernel is
      k(‖x − y‖)ᴸ: a larger L sees less of what is far away, which is what
      evens out a mixture whose clusters are not tight.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  num_rows: int
  num_buckets: int
  bandwidth: bandwidth.BandwidthRule
  seed: int
  block: int
  hashes_per_row: int = 1
  part_records: int = 16384
  name: str = "density"

  state: State | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.EMBEDDING

  def identity(self) -> dict:
    """All that a score depends on, beside the embeddings."""
    return {
      "name": self.name,
      "num_rows": self.num_rows,
      "num_buckets": self.num_buckets,
      "hashes_per_row": self.hashes_per_row,
      "bandwidth": self.bandwidth.identity(),
      "seed": self.seed,
      "block": self.block,
    }

  def prepare(self, read: interface.Read) -> None:
    """Pass 1: chooses the width, then counts every vector of the pool.

    Raises:
      DensityError: a pool without a usable vector, or of over 2³¹ − 1.
      BandwidthError: the rule finds no width.
    """
    seen = collections.Counter()
    sample = subsample.sample(
      _rows(read("pool"), seen), self.bandwidth.sample_size, seed=self.seed
    )
    dimensions, records = _pool_shape(seen)
    vectors = np.array(sample, np.float32).reshape(-1, dimensions)
    hashes = hashing.init(
      jax.random.key(self.seed),
      dimensions=dimensions,
      num_rows=self.num_rows,
      hashes_per_row=self.hashes_per_row,
      width=self._width(vectors, records),
    )
    counters = sketch.init(num_rows=self.num_rows, num_buckets=self.num_buckets)
    for block, mask in _padded(read("pool"), self.block):
      counters = _absorb(counters, hashes, block, mask)
    self.state = State(hashes=hashes, sketch=counters)

  def score(self, batch: Matrix) -> interface.Scores:
    """Pass 2: column "score", float32 [n], the mean kernel value in (0, 1].

    A record of the pool is at distance 0 of itself, so its sum is at least 1:
    estimates below 1/N are raised to it, and 1/score is always a weight.
    NaN, infinite and zero vectors are unscorable.

    Raises:
      DensityError: before `prepare`, or vectors of another dimension.
    """
    if self.state is None:
      raise DensityError("prepare must run before score: the sketch is empty")
    self._check_dimensions(batch)
    hashes, counters = self.state
    sums = [
      np.asarray(_query(counters, hashes, block))[mask]
      for block, mask in _padded(iter([batch]), self.block)
    ]
    total = int(counters.total)
    usable = _usable(batch)
    scores = np.full(len(batch), np.nan, np.float32)
    if sums:
      scores[usable] = np.clip(np.concatenate(sums), 1, total) / total
    return interface.Scores(_statuses(batch), {"score": scores})

  def facts(self) -> dict:
    """What pass 1 found, JSON-able: the width, N, and the sketch's bytes.

    Raises:
      DensityError: before `prepare`.
    """
    if self.state is None:
      raise DensityError("prepare must run before facts: the sketch is empty")
    return {
      "bandwidth": float(self.state.hashes.width),
      "pool_records": int(self.state.sketch.total),
      "sketch_bytes": self.state.sketch.counts.nbytes,
    }

  def _width(self, vectors: Float[np.ndarray, "m d"], records: int) -> float:
    # One unit: a rule searches as long as it must, on a sample of fixed size.
    label = f"{self.name}: bandwidth of {len(vectors):,} vectors"
    with progress.bar(label, total=1) as advance:
      width = self.bandwidth.width(
        vectors, records=records, hashes_per_row=self.hashes_per_row
      )
      advance(1)
    return width

  def _check_dimensions(self, batch: Matrix) -> None:
    expected = self.state.hashes.directions.shape[0]
    if batch.shape[1] != expected:
      raise DensityError(
        f"vectors of {batch.shape[1]} dimensions, but the pool's have "
        f"{expected}; score the embedding set that the sketch was made from"
      )


# One call a block, and the old counters' memory is used again: 80 MB at the
# paper's size would otherwise be copied for every block.
@functools.partial(jax.jit, donate_argnums=0)
def _absorb(counters, hashes, vectors, mask):
  found = hashing.buckets(hashes, vectors, num_buckets=counters.counts.shape[1])
  return sketch.update(counters, found, mask=mask)


@jax.jit
def _query(counters, hashes, vectors):
  found = hashing.buckets(hashes, vectors, num_buckets=counters.counts.shape[1])
  return sketch.query(counters, found)


def _rows(
  blocks: Iterable[Matrix], seen: collections.Counter
) -> Iterator[Float[np.ndarray, " d"]]:
  """Yields the usable vectors; counts them in `seen` by their dimensions."""
  for block in blocks:
    rows = _usable_rows(block)
    seen[block.shape[1]] += len(rows)
    for row in rows:
      # A view would keep its whole block in memory for one sampled row.
      yield row.copy()


def _pool_shape(seen: collections.Counter) -> tuple[int, int]:
  """Returns the dimensions and the number of the pool's usable vectors."""
  if len(seen) > 1:
    raise DensityError(f"vectors of several dimensions: {sorted(seen)}")
  records = seen.total()
  if not 1 <= records <= LARGEST_TOTAL:
    raise DensityError(
      f"the pool has {records} usable vectors (finite, not zero); the sketch "
      f"needs from 1 to {LARGEST_TOTAL}"
    )
  return next(iter(seen)), records


def _padded(
  blocks: Iterable[Matrix], size: int
) -> Iterator[tuple[Float[np.ndarray, "b d"], Bool[np.ndarray, " b"]]]:
  """Yields the usable vectors in blocks of exactly `size`, and a mask.

  How the stream was cut does not matter: the rows of a block are always the
  same, so are the bits of its hashes.
  """
  waiting: list[np.ndarray] = []
  count = 0
  for block in blocks:
    waiting.append(_usable_rows(block))
    count += len(waiting[-1])
    while count >= size:
      rows = np.concatenate(waiting)
      yield rows[:size], np.ones(size, bool)
      waiting, count = [rows[size:]], count - size
  if count:
    rows = np.concatenate(waiting)
    mask = np.arange(size) < count
    yield np.pad(rows, ((0, size - count), (0, 0))), mask


def _usable_rows(block: Matrix) -> Float[np.ndarray, "k d"]:
  return np.asarray(block, np.float32)[_usable(block)]


def _usable(block: Matrix) -> Bool[np.ndarray, " n"]:
  return np.isfinite(block).all(axis=1) & (block != 0).any(axis=1)


def _statuses(batch: Matrix) -> list[str]:
  finite = np.isfinite(batch).all(axis=1)
  usable = _usable(batch)
  reasons = np.where(finite, "zero vector", "vector is not finite")
  return [
    interface.SCORED if usable[row] else interface.unscorable(reasons[row])
    for row in range(len(batch))
  ]
