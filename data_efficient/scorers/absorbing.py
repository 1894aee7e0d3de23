# SPDX-License-Identifier: Apache-2.0
"""The two passes of Density over a stream of vectors, on all local devices.

Pass 1 counts the pool part by part and can be stopped at any: a
`sketch_store.Store` keeps the counters with the numbers of the parts that are
in them. Each part is cut into blocks of its own, so that the counters of a set
of parts are the same bits whatever was counted before them.
"""

import functools
from collections.abc import Callable, Container, Iterator

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


def absorb(
  stream: Callable[[], Iterator[vectors.Matrix]],
  hashes: hashing.Hashes,
  begun: Absorbed,
  *,
  block: int,
  part_records: int,
  store: sketch_store.Store | None,
  only: Container[int] | None = None,
) -> Absorbed:
  """Pass 1: counts the parts of a stream that are not counted yet.

  Args:
    stream: starts the pool's vectors from the first.
    hashes: of the sketch.
    begun: what was counted before.
    block: vectors that a device hashes at once.
    part_records: vectors of the stream a part, usable or not.
    store: where the sketch is kept when it is due, and at the end.
    only: numbers of the parts to count, where others count the rest and the
      sketches are merged; None for all.

  Raises:
    DensityError: other vectors than those that pass 1 began with.
  """
  if begun.total == begun.records:
    return begun
  before, done = frozenset(begun.parts), []
  counters = sketch_mesh.init(
    mesh(), num_rows=begun.counts.shape[0], num_buckets=begun.counts.shape[1]
  )
  for part in vectors.parts(
    stream(), records=part_records, dimensions=begun.dimensions
  ):
    if part.number in before or (only is not None and part.number not in only):
      continue
    for found in vectors.padded(part.vectors, block, group=mesh().size):
      counters = sketch_mesh.update(
        mesh(), counters, hashes, found.vectors, mask=found.mask
      )
    done.append(part.number)
    if store and store.due():
      store.keep(_with(begun, done, counters))
  absorbed = _with(begun, done, counters)
  if only is None and absorbed.total != absorbed.records:
    raise DensityError(
      f"{absorbed.total:,} vectors of the pool were counted, and it had "
      f"{absorbed.records:,} when pass 1 began: the embeddings changed; start "
      "in a new directory"
    )
  if store:
    store.keep(absorbed)
  return absorbed


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
