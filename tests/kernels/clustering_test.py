# SPDX-License-Identifier: Apache-2.0
"""Spherical k-means and neighbours against loops, and on known clusters."""

import jax
import numpy as np
import pytest

from data_efficient.kernels import clustering

KEY = jax.random.key(0)


def unit(vectors):
  vectors = np.asarray(vectors, np.float64)
  return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("f4")


@pytest.fixture(scope="module")
def vectors():
  """Twelve loose clusters of 25 vectors."""
  random = np.random.default_rng(0)
  centres = random.normal(size=(12, 16))
  return unit(
    np.repeat(centres, 25, axis=0) + random.normal(size=(300, 16)) / 3
  )


def stacked(vectors, rows):
  blocks = -(-len(vectors) // rows)
  missing = blocks * rows - len(vectors)
  # Padding that would be seen if it were counted.
  padded = np.concatenate([vectors, np.tile(vectors[:1], (missing, 1))])
  mask = np.arange(blocks * rows) < len(vectors)
  return padded.reshape(blocks, rows, -1), mask.reshape(blocks, rows)


def slow_step(centroids, vectors):
  """One vector after the other."""
  labels = [int(np.argmax(centroids @ vector)) for vector in vectors]
  moved = centroids.copy()
  for cluster in set(labels):
    total = sum(
      vector.astype(np.float64)
      for vector, label in zip(vectors, labels, strict=True)
      if label == cluster
    )
    moved[cluster] = total / np.linalg.norm(total)
  counts = np.bincount(labels, minlength=len(centroids))
  cosine = np.mean(
    [
      centroids[label] @ vector
      for vector, label in zip(vectors, labels, strict=True)
    ]
  )
  return moved, counts, cosine


def test_a_step_is_lloyd_s(vectors):
  centroids = vectors[::30]
  found = clustering.step(centroids, *stacked(vectors, 128))
  moved, counts, cosine = slow_step(centroids, vectors)
  np.testing.assert_array_equal(found.counts, counts)
  np.testing.assert_allclose(found.centroids, moved, atol=1e-6)
  np.testing.assert_allclose(found.cosine, cosine, atol=1e-6)


def test_both_ways_to_add_up_members_agree(vectors):
  labels = np.random.default_rng(1).integers(0, 5, 300).astype(np.int32)
  sums = np.zeros((5, 16), np.float32)
  counts = np.zeros(5, np.int32)
  arguments = [jax.numpy.asarray(x) for x in (sums, counts, labels, vectors)]
  for left, right in zip(
    clustering._scattered(*arguments),
    clustering._multiplied(*arguments),
    strict=True,
  ):
    np.testing.assert_allclose(left, right, atol=1e-4)


def test_steps_find_the_clusters_and_never_get_worse(vectors):
  centroids = clustering.seeds(KEY, vectors, clusters=12, rounds=12)
  cosines = []
  for _ in range(15):
    found = clustering.step(centroids, *stacked(vectors, 128))
    centroids = found.centroids
    cosines.append(float(found.cosine))
  assert (np.diff(cosines) > -1e-6).all()
  labels = np.asarray(clustering.assign(centroids, vectors).row).reshape(12, 25)
  for row in labels:
    assert np.bincount(row).max() >= 23
  assert len({int(np.bincount(row).argmax()) for row in labels}) == 12
  np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1.0, atol=1e-6)


def test_centroids_without_members_move_to_what_fits_worst(vectors):
  # All vectors are near the first; three centroids are where nobody is.
  centroids = unit(
    np.concatenate([vectors[:1], -vectors[:1].repeat(3, axis=0)])
  )
  near = unit(vectors[:25] + 20 * vectors[:1])
  found = clustering.step(centroids, *stacked(near, 16))
  assert list(found.counts) == [25, 0, 0, 0]
  worst = np.argsort(near @ centroids[0])[:3]
  np.testing.assert_allclose(found.centroids[1:], near[worst], atol=1e-6)
  again = clustering.step(found.centroids, *stacked(near, 16))
  assert min(again.counts) > 0


def test_seeds_are_rows_spread_out_and_the_seed_s(vectors):
  first = clustering.seeds(KEY, vectors, clusters=12, rounds=12)
  second = clustering.seeds(KEY, vectors, clusters=12, rounds=12)
  np.testing.assert_array_equal(first, second)
  other = clustering.seeds(jax.random.key(1), vectors, clusters=12, rounds=12)
  assert not np.array_equal(first, other)
  rows = [int(np.argmax(vectors @ np.asarray(row))) for row in first]
  np.testing.assert_array_equal(first, vectors[rows])
  assert len(set(rows)) == 12

  def met(rounds):
    """Clusters that have a seed, over some draws."""
    found = 0
    for number in range(20):
      key = jax.random.key(number)
      drawn = clustering.seeds(key, vectors, clusters=12, rounds=rounds)
      rows = np.argmax(np.asarray(drawn) @ vectors.T, axis=1)
      found += len(set(rows // 25))
    return found / 20

  # A uniform draw meets 12 (1 − (1 − 1/12)¹²) = 7.8 clusters of 12.
  assert met(1) < 8.5 < 9 < met(12)


def test_seeds_of_copies(vectors):
  copies = np.repeat(vectors[:3], 5, axis=0)
  assert clustering.seeds(KEY, copies, clusters=4, rounds=2).shape == (4, 16)


@pytest.mark.parametrize("clusters, rounds", [(301, 1), (12, 13), (12, 0)])
def test_impossible_seeds_are_refused(clusters, rounds, vectors):
  with pytest.raises(ValueError, match="1 ≤ rounds ≤ clusters ≤ vectors"):
    clustering.seeds(KEY, vectors, clusters=clusters, rounds=rounds)


@pytest.mark.parametrize("earlier", [True, False])
def test_neighbours_are_those_of_all_pairs(earlier, vectors):
  ranks = np.arange(40, dtype=np.int32)
  keys = np.where(ranks < 33, ranks, -1).astype(np.int32)
  found = clustering.nearest(
    vectors[:40], ranks, vectors[:40], keys, earlier=earlier
  )
  for query in range(33):
    others = [
      row for row in range(33) if (row < query if earlier else row != query)
    ]
    if not others:
      assert found.cosine[query] == -2
      continue
    cosines = vectors[others] @ vectors[query]
    assert found.row[query] == others[int(np.argmax(cosines))]
    np.testing.assert_allclose(found.cosine[query], cosines.max(), atol=1e-6)
