# SPDX-License-Identifier: Apache-2.0
"""Density: how crowded the neighbourhood of a record's embedding is.

  score(y) = (1/N) Σ_{x ∈ pool} k(x, y)

with the collision kernel k of a hash family, estimated in two linear passes
by a count sketch (arXiv 2402.09668, Sec. 3.2, Algorithm 2). Select from it
with `InversePropensity`.
"""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from data_efficient import progress
from data_efficient.kernels import hashing, sketch, sketch_mesh
from data_efficient.scorers import (
  absorbing,
  hash_families,
  interface,
  subsample,
  vectors,
)
from data_efficient.scorers import bandwidth as bandwidths
from data_efficient.scorers.sketch_store import Absorbed, Place, Store

LARGEST_TOTAL = 2**31 - 1

Matrix = vectors.Matrix
DensityError = absorbing.DensityError


class State(NamedTuple):
  """What pass 1 leaves for pass 2."""

  hashes: hashing.Hashes
  sketch: sketch.Sketch
  width: float


@dataclasses.dataclass(kw_only=True)
class Density:
  """Scores embeddings by the density of the pool around them.

  Attributes:
    num_rows: R, hash rows; the error falls as 1/√R (the paper: 1,000).
    num_buckets: B, counters a row (the paper: 20,000).
    family: the hash family; `hash_families.PStable` is the paper's.
    bandwidth: the rule that gives the width of a cell.
    seed: of the hash rows and of the bandwidth's sample.
    block: vectors that a device hashes at once.
    part_records: records a part, of the scores and of pass 1.
    name: the name of the scorer in tables.
    sketch_store: where pass 1 keeps its sketch, and who counts it; None to
      count here and keep it in memory only.
  """

  num_rows: int
  num_buckets: int
  family: hash_families.HashFamily
  bandwidth: bandwidths.BandwidthRule
  seed: int
  block: int
  part_records: int = 16384
  name: str = "density"

  sketch_store: Store | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )
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
      "family": self.family.identity(),
      "bandwidth": self.bandwidth.identity(),
      "seed": self.seed,
      "block": self.block,
    }

  def prepare(self, read: interface.Read) -> None:
    """Pass 1: chooses the width, then counts every vector of the pool.

    Goes on where `sketch_store` was left. A part is a run of `part_records`
    vectors of the pool.

    Raises:
      DensityError: a pool without a usable vector, or of over 2³¹ − 1, or
        not the one that was begun with.
      BandwidthError: the rule finds no width.
      HashFamilyError: the family cannot have it.
    """
    store = self.sketch_store
    begin = functools.partial(self._begun, read)
    absorbed = store.begin(begin) if store else begin()
    if absorbed.total < absorbed.records:
      count = functools.partial(self._count, read)
      absorbed = (
        store.complete(absorbed, count)
        if store
        else count(absorbed, None, None)
      )
      absorbing.check_whole(absorbed)
    self.state = self._state(absorbed)

  def __getstate__(self) -> dict:
    """What goes to other machines: these read the sketch where it is kept."""
    return {**self.__dict__, "state": None if self.sketch_store else self.state}

  def score(self, batch: Matrix) -> interface.Scores:
    """Pass 2: column "score", float32 [n], the mean kernel value in (0, 1].

    A record of the pool is at distance 0 of itself, so its sum is at least 1:
    estimates below 1/N are raised to it, and 1/score is always a weight.
    NaN, infinite and zero vectors are unscorable.

    Raises:
      DensityError: before `prepare`, or vectors of another dimension.
    """
    self._restore()
    self._check_dimensions(batch)
    sums = absorbing.sums(
      self.state.hashes,
      self.state.sketch,
      vectors.usable_rows(batch),
      block=self.block,
    )
    total = int(self.state.sketch.total)
    scores = np.full(len(batch), np.nan, np.float32)
    scores[vectors.usable(batch)] = np.clip(sums, 1, total) / total
    return interface.Scores(_statuses(batch), {"score": scores})

  def facts(self) -> dict:
    """What pass 1 found, JSON-able: the width, N, and the sketch's bytes.

    Raises:
      DensityError: before `prepare`.
    """
    if self.state is None:
      raise DensityError("prepare must run before facts: the sketch is empty")
    return {
      "bandwidth": self.state.width,
      "pool_records": int(self.state.sketch.total),
      "sketch_bytes": self.state.sketch.counts.nbytes,
    }

  def _hashes(self, begun: Absorbed) -> hashing.Hashes:
    return self.family.draw(
      jax.random.key(self.seed),
      dimensions=begun.dimensions,
      num_rows=self.num_rows,
      width=begun.width,
    )

  def _count(
    self,
    read: interface.Read,
    begun: Absorbed,
    only: Sequence[int] | None,
    place: Place | None,
  ) -> Absorbed:
    """Counts parts of the pool; see `sketch_store.Count`."""

    def stream(start: int, stop: int | None) -> Iterator[Matrix]:
      whole = (start, stop) == (0, None)
      return read("pool") if whole else read("pool", start, stop)

    return absorbing.absorb(
      stream,
      self._hashes(begun),
      begun,
      block=self.block,
      part_records=self.part_records,
      place=place,
      only=only,
    )

  def _state(self, absorbed: Absorbed) -> State:
    return State(
      hashes=self._hashes(absorbed),
      sketch=sketch_mesh.placed(
        absorbing.mesh(), absorbed.counts, absorbed.total
      ),
      width=absorbed.width,
    )

  def _restore(self) -> None:
    """On another machine: what `prepare` left where the sketch is kept."""
    if self.state is not None:
      return
    kept = self.sketch_store.load() if self.sketch_store else None
    if kept is None or kept.total != kept.records:
      raise DensityError("prepare must run before score: the sketch is empty")
    self.state = self._state(kept)

  def _begun(self, read: interface.Read) -> Absorbed:
    """Nothing absorbed yet; looks at the whole pool for the width."""
    seen = collections.Counter()
    sample = subsample.sample(
      _rows(read("pool"), seen), self.bandwidth.sample_size, seed=self.seed
    )
    dimensions, records = _pool_shape(seen)
    found = np.array(sample, np.float32).reshape(-1, dimensions)
    return Absorbed(
      width=self._width(found, records),
      dimensions=dimensions,
      records=records,
      parts=(),
      counts=np.zeros((self.num_rows, self.num_buckets), np.int32),
      total=0,
    )

  def _width(self, sample: Float[np.ndarray, "m d"], records: int) -> float:
    # One unit: a rule searches as long as it must, on a sample of fixed size.
    label = f"{self.name}: bandwidth of {len(sample):,} vectors"
    with progress.bar(label, total=1) as advance:
      width = self.bandwidth.width(sample, records=records, family=self.family)
      advance(1)
    return width

  def _check_dimensions(self, batch: Matrix) -> None:
    expected = self.state.hashes.projection.dimensions
    if batch.shape[1] != expected:
      raise DensityError(
        f"vectors of {batch.shape[1]} dimensions, but the pool's have "
        f"{expected}; score the embedding set that the sketch was made from"
      )


def _rows(
  blocks: Iterable[Matrix], seen: collections.Counter
) -> Iterator[Float[np.ndarray, " d"]]:
  """Yields the usable vectors; counts them in `seen` by their dimensions."""
  for block in blocks:
    rows = vectors.usable_rows(block)
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


def _statuses(batch: Matrix) -> list[str]:
  finite = np.isfinite(batch).all(axis=1)
  usable = vectors.usable(batch)
  reasons = np.where(finite, "zero vector", "vector is not finite")
  return [
    interface.SCORED if usable[row] else interface.unscorable(reasons[row])
    for row in range(len(batch))
  ]
