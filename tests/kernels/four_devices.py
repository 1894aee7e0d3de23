# SPDX-License-Identifier: Apache-2.0
"""Run by `sketch_mesh_test` in a process that has four CPU devices."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from data_efficient.kernels import clustering, p_stable, sketch, sketch_mesh

ROWS, BUCKETS, BLOCK = 150, 31, 16


@pytest.fixture
def hashes():
  return p_stable.init(
    jax.random.key(0), dimensions=24, num_rows=ROWS, width=1.0
  )


@pytest.fixture
def vectors():
  return np.random.default_rng(0).normal(size=(128, 24)).astype(np.float32)


def _made(devices, hashes, vectors, mask):
  """Counts all vectors, and asks for all of them."""
  mesh = Mesh(np.array(jax.devices()[:devices]), (sketch_mesh.AXIS,))
  counters = sketch_mesh.init(mesh, num_rows=ROWS, num_buckets=BUCKETS)
  step = BLOCK * devices
  starts = range(0, len(vectors), step)
  for at in starts:
    counters = sketch_mesh.update(
      mesh, counters, hashes, vectors[at : at + step], mask=mask[at : at + step]
    )
  whole = sketch_mesh.gathered(mesh, counters)
  sums = [
    sketch_mesh.query(mesh, whole, hashes, vectors[at : at + step])
    for at in starts
  ]
  return whole, np.concatenate(sums)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_any_number_of_devices_makes_the_same_bits(devices, hashes, vectors):
  assert len(jax.devices()) == 4
  mask = np.arange(len(vectors)) < 101
  plain = sketch.init(num_rows=ROWS, num_buckets=BUCKETS)
  for at in range(0, len(vectors), BLOCK):
    block = slice(at, at + BLOCK)
    plain = sketch.update(plain, hashes, vectors[block], mask=mask[block])
  whole, sums = _made(devices, hashes, vectors, mask)
  np.testing.assert_array_equal(whole.counts, plain.counts)
  assert int(whole.total) == int(plain.total) == 101
  _, expected = _made(1, hashes, vectors, mask)
  np.testing.assert_array_equal(sums, expected)
  assert len(whole.counts.sharding.device_set) == devices


def test_a_sketch_from_the_host_lies_on_every_device(hashes, vectors):
  mesh = Mesh(np.array(jax.devices()), (sketch_mesh.AXIS,))
  counts = np.ones((ROWS, BUCKETS), np.int32)
  placed = sketch_mesh.placed(mesh, counts, 5)
  assert len(placed.counts.sharding.device_set) == 4
  assert placed.counts.sharding.is_fully_replicated and int(placed.total) == 5


def test_clusters_of_rows_over_four_devices(vectors):
  vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
  blocks = vectors.reshape(2, 64, 24)
  mask = np.arange(128).reshape(2, 64) < 101
  mesh = Mesh(np.array(jax.devices()), ("data",))
  rows = NamedSharding(mesh, PartitionSpec(None, "data"))
  alone = clustering.step(vectors[::20], blocks, mask)
  found = clustering.step(
    vectors[::20], jax.device_put(blocks, rows), jax.device_put(mask, rows)
  )
  np.testing.assert_array_equal(found.counts, alone.counts)
  np.testing.assert_allclose(found.centroids, alone.centroids, atol=1e-6)
