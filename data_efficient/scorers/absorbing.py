# SPDX-License-Identifier: Apache-2.0
"""The two passes of Density over a stream of vectors, on all local devices.

Pass 1 counts the pool part by part and can be stopped at any: a
`sketch_store.Place` keeps the counters with the numbers of the parts that are
in them. Each part is cut into blocks of its own, so that the counters of a set
of parts are the same bits whatever was counted before them, and by whom.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from data_efficient.kernels import hashing, sketch, sketch_mesh
from data_efficient.scorers import sketch_store, vectors
from data_efficient.scorers.sketch_store import Absorbed


class DensityError(vectors.VectorError):
  """Embeddings that no density can be made from."""


@functools.cache
def mesh() -> Mesh:
  """This process's devices."""
  return Mesh(np.array(jax.local_devices()), (sketch_mesh.AXIS,))


# The pool's vectors from one on, up to another; None is the end.
Stream = Callable[[int, int | None], Iterator[vectors.Matrix]]


def absorb(
  stream: Stream,
  hashes: hashing.Hashes,
  begun: Absorbed,
  *,
  block: int,
  part_records: int,
  place: sketch_store.Place | None,
  only: Sequence[int] | None = None,
) -> Absorbed:
  """Pass 1: counts the parts of a stream that are not counted yet.

  Args:
    stream: starts the pool's vectors anywhere.
    hashes: of the sketch.
    begun: what was counted before.
    block: vectors that a device hashes at once.
    part_records: vectors of the stream a part, usable or not.
    place: where the sketch is kept when it is due, and at the end.
    only: numbers of the parts to count, ascending: no others are read; None
      for all.
  """
  before, done = frozenset(begun.parts), []
  counters = sketch_mesh.init(
    mesh(), num_rows=begun.counts.shape[0], num_buckets=begun.counts.shape[1]
  )
  for part in _parts(stream, part_records, begun.dimensions, only):
    if part.number in before:
      continue
    for found in vectors.padded(part.vectors, block, group=mesh().size):
      counters = sketch_mesh.update(
        mesh(), counters, hashes, found.vectors, mask=found.mask
      )
    done.append(part.number)
    if place and place.due():
      place.keep(_with(begun, done, counters))
  absorbed = _with(begun, done, counters)
  if place:
    place.keep(absorbed)
  return absorbed


def check_whole(absorbed: Absorbed) -> None:
  """Compares what was counted with what the pool had at first.

  Raises:
    DensityError: other vectors than those that pass 1 began with.
  """
  if absorbed.total != absorbed.records:
    raise DensityError(
      f"{absorbed.total:,} vectors of the pool were counted, and it had "
      f"{absorbed.records:,} when pass 1 began: the embeddings changed; start "
      "in a new directory"
    )


def _parts(
  stream: Stream,
  records: int,
  dimensions: int,
  only: Sequence[int] | None,
) -> Iterator[vectors.Part]:
  """The parts of a stream by their numbers in the whole."""
  runs = [(0, None)] if only is None else _runs(only)
  for first, last in runs:
    found = stream(first * records, None if last is None else last * records)
    for part in vectors.parts(found, records=records, dimensions=dimensions):
      yield part._replace(number=first + part.number)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
  """Ascending numbers as runs [first, last)."""
  edges = np.flatnonzero(np.diff(numbers) != 1) + 1
  for run in np.split(np.asarray(numbers, np.int64), edges):
    if len(run):
      yield int(run[0]), int(run[-1]) + 1


def sums(
  hashes: hashing.Hashes,
  whole: sketch.Sketch,
  rows: Float[np.ndarray, "k d"],
  *,
  block: int,
) -> Float[np.ndarray, " k"]:
  """Pass 2: `sketch.query` of usable vectors."""
  devices = mesh()
  blocks = list(vectors.padded(rows, block, group=devices.size))
  # All are under way before the first is waited for.
  found = [
    sketch_mesh.query(devices, whole, hashes, one.vectors) for one in blocks
  ]
  kept = [
    np.asarray(values)[one.mask]
    for values, one in zip(found, blocks, strict=True)
  ]
  return np.concatenate([np.zeros(0, np.float32), *kept])


def _with(
  begun: Absorbed, done: list[int], counters: sketch.Sketch
) -> Absorbed:
  """What was counted before and since."""
  new = jax.device_get(sketch_mesh.gathered(mesh(), counters))
  return begun._replace(
    parts=tuple(sorted({*begun.parts, *done})),
    counts=begun.counts + new.counts,
    total=begun.total + int(new.total),
  )
