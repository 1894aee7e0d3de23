# SPDX-License-Identifier: Apache-2.0
"""SemDeDup and Prototypes on vectors whose answer is known."""

import numpy as np
import pytest

from data_efficient.data import working_directories
from data_efficient.scorers import (
  cluster_files,
  clusters,
  prototypes,
  semdedup,
)
from data_efficient.scorers import vectors as vectors_of


def _unit(vectors):
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors():
  """Four clusters of 30; 0 and 7 are one vector, 40 is nearly 50."""
  random = np.random.default_rng(0)
  centres = random.normal(size=(4, 24))
  made = np.repeat(centres, 30, axis=0) + random.normal(size=(120, 24)) / 3
  made[7] = made[0]
  made[40] = made[50] + random.normal(size=24) * 0.01
  return made.astype(np.float32)


def _means(**settings):
  defaults = {
    "clusters": 4,
    "sample_size": 1000,
    "iterations": 8,
    "rounds": 4,
    "seed": 0,
    "block": 64,
  }
  return clusters.KMeans(**defaults | settings)


def _numbered(vectors, first=1000):
  found = np.empty(
    len(vectors),
    [("record", np.int64), ("vector", vectors.dtype, vectors.shape[1:])],
  )
  found["record"] = first + np.arange(len(vectors))
  found["vector"] = vectors
  return found


def _read(rows, cut=50):
  def read(split, start=0, stop=None):
    wanted = rows[start:stop]
    return iter([wanted[at : at + cut] for at in range(0, len(wanted), cut)])

  return read


def _semdedup(rows, cut=50, **settings):
  scorer = semdedup.SemDeDup(
    clusters=_means(), **{"keep_one": True, "block": 16} | settings
  )
  scorer.prepare(_read(rows, cut))
  return scorer


def _slowly(vectors, labels, keep_one):
  """Score and neighbour of each, pair by pair."""
  unit = _unit(vectors.astype(np.float64))
  centroids = [_unit(unit[labels == k].sum(0)[None])[0] for k in range(4)]
  own = [unit[i] @ centroids[labels[i]] for i in range(len(unit))]
  scores, nearest = [], []
  for i in range(len(unit)):
    others = [
      j
      for j in range(len(unit))
      if j != i
      and labels[i] == labels[j]
      and (not keep_one or (own[j], j) < (own[i], i))
    ]
    cosines = [unit[i] @ unit[j] for j in others]
    scores.append(-max(cosines, default=-1.0))
    nearest.append(others[int(np.argmax(cosines))] + 1000 if others else -1)
  return np.array(scores), np.array(nearest)


@pytest.mark.parametrize("keep_one", [True, False])
def test_semdedup_is_its_twin(keep_one, vectors):
  rows = _numbered(vectors)
  scorer = _semdedup(rows, keep_one=keep_one)
  found = scorer.score(rows)
  assert set(found.statuses) == {"scored"}
  labels = found.columns["cluster"]
  scores, nearest = _slowly(vectors, labels, keep_one)
  np.testing.assert_allclose(found.columns["score"], scores, atol=1e-5)
  same = found.columns["nearest"] == nearest
  # The copies are equally near to everybody.
  assert same.mean() > 0.95
  pairs = [(0, 7), (40, 50)]
  for left, right in pairs:
    low = found.columns["score"][[left, right]] < -0.99
    assert low.sum() == (1 if keep_one else 2)


def test_semdedup_does_not_depend_on_how_the_pool_is_cut(vectors):
  rows = _numbered(vectors)
  whole = _semdedup(rows).score(rows)
  cut = _semdedup(rows, cut=7)
  parts = [cut.score(rows[60:]), cut.score(rows[:60])]
  for name in ("score", "nearest", "cluster"):
    joined = np.concatenate([part.columns[name] for part in parts[::-1]])
    np.testing.assert_array_equal(joined, whole.columns[name])


def _in_memory(rows, keep_one):
  """Score, neighbour and cluster by record, of a pool that memory holds."""
  means = _means()
  centroids = means.fit(iter([rows["vector"]]), name="x")
  pool = rows[vectors_of.usable(rows["vector"])]
  labels, cosines = means.assign(centroids, clusters.unit_rows(pool["vector"]))
  order = np.lexsort((pool["record"], cosines, labels))
  pool, labels = pool[order], labels[order]
  found = {}
  for label in range(means.clusters):
    own = pool[labels == label]
    near, at = semdedup.neighbours(
      clusters.unit_rows(own["vector"]), earlier=keep_one, block=16
    )
    for record, cosine, row in zip(own["record"], near, at, strict=True):
      nearest = own["record"][row] if row >= 0 else -1
      found[int(record)] = (-cosine, int(nearest), label)
  return found


# A stretch of the pool is one block of 64 or all of it; a group of clusters is
# one or all; a cluster is held or not.
@pytest.mark.parametrize("memory_bytes", [1, 64 * 24 * 4, 2**20])
@pytest.mark.parametrize("keep_one", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_little_memory_changes_no_bit(vectors, memory_bytes, keep_one, kind):
  vectors = np.concatenate([vectors, vectors[:50] + 0.01]).astype(kind)
  rows = _numbered(vectors)
  rows["vector"][[3, 70, 71, 130]] = np.nan
  scorer = _semdedup(rows, 37, memory_bytes=memory_bytes, keep_one=keep_one)
  found = scorer.score(rows)
  expected = _in_memory(rows, keep_one)
  assert found.statuses.count("scored") == len(expected) == 166
  for row, record in enumerate(rows["record"].tolist()):
    if found.statuses[row] == "scored":
      names = ("score", "nearest", "cluster")
      mine = tuple(found.columns[name][row] for name in names)
      assert mine == expected[record]


@pytest.mark.parametrize("count", [300, 3000])
def test_no_array_is_larger_than_the_memory_it_may_have(
  tmp_path, monkeypatch, count
):
  vectors, notes, memory = [], [], 2**13  # 85 vectors
  made = np.random.default_rng(1).normal(size=(count, 24)).astype(np.float32)
  rows = _numbered(made)

  def spy(module, name, sizes):
    plain = getattr(module, name)

    def spying(given):
      found = plain(given)
      columns = found.values() if isinstance(found, dict) else [found]
      sizes.append(sum(column.nbytes for column in columns))
      return found

    monkeypatch.setattr(module, name, spying)

  spy(clusters, "unit_rows", vectors)
  spy(cluster_files, "joined", notes)
  scorer = semdedup.SemDeDup(
    clusters=_means(clusters=6, block=64, sample_size=64, iterations=1),
    keep_one=True,
    block=64,
    memory_bytes=memory,
  )
  working_directories.keep_beside(tmp_path, scorer)
  scorer.prepare(_read(rows, 64))
  labels = [
    scorer.score(rows[start : start + 100]).columns["cluster"]
    for start in range(0, count, 100)
  ]
  pieces = {path.name for path in (tmp_path / "working").iterdir()}
  assert {f"assigned-64-{n:05d}.safetensors" for n in range(count // 64)} < (
    pieces
  )
  assert max(vectors) <= memory
  # 28 bytes a record: of a window of the scores, or of a group of clusters,
  # which may be a single one.
  largest = np.bincount(np.concatenate(labels)).max()
  assert max(notes) <= max(memory, 28 * largest)
  working_directories.remove(tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_a_pool_that_changed_meanwhile_is_refused(vectors, tmp_path):
  rows = _numbered(vectors)
  scorer = semdedup.SemDeDup(
    clusters=_means(), keep_one=True, block=16, memory_bytes=1
  )
  working_directories.keep_beside(tmp_path, scorer)
  scorer.prepare(_read(rows))
  (tmp_path / "working" / "assigned-64-00001.safetensors").unlink()
  rows["vector"][80] = 0
  with pytest.raises(clusters.ClusterError, match="55 usable .* were 56"):
    scorer.prepare(_read(rows))


def test_blocks_of_a_cluster_change_nothing(vectors):
  unit = _unit(vectors).astype(np.float32)
  for earlier in (True, False):
    one = semdedup.neighbours(unit, earlier=earlier, block=128)
    many = semdedup.neighbours(unit, earlier=earlier, block=16)
    np.testing.assert_allclose(one[0], many[0], atol=1e-6)
    assert (one[1] == many[1]).mean() > 0.98


def test_a_cluster_of_one_keeps_its_record():
  cosines, rows = semdedup.neighbours(
    np.ones((1, 4), np.float32) / 2, earlier=False, block=16
  )
  assert (cosines[0], rows[0]) == (-1.0, -1)


def test_records_without_a_vector_or_a_pool(vectors):
  rows = _numbered(vectors)
  rows["vector"][3] = np.nan
  rows["vector"][4] = 0
  strangers = _numbered(vectors[:2], first=7)
  scorer = _semdedup(rows)
  statuses = scorer.score(rows).statuses
  assert statuses[3] == "unscorable(vector is not finite)"
  assert statuses[4] == "unscorable(zero vector)"
  assert statuses.count("scored") == 118
  assert scorer.score(strangers).statuses == ["unscorable(not in the pool)"] * 2
  assert scorer.score(rows[:0]).statuses == []


def test_prototypes_are_cosines_to_the_nearest_centroid(vectors):
  scorer = prototypes.Prototypes(clusters=_means())
  scorer.prepare(_read(vectors))
  batch = np.concatenate([vectors, np.full((1, 24), np.nan, np.float32)])
  found = scorer.score(batch)
  assert found.statuses == ["scored"] * 120 + [
    "unscorable(vector is not finite)"
  ]
  cosines = _unit(vectors) @ scorer.centroids.T
  np.testing.assert_allclose(
    found.columns["score"][:120], -cosines.max(1), atol=1e-5
  )
  np.testing.assert_array_equal(
    found.columns["cluster"][:120], cosines.argmax(1)
  )
  # Those made as one cluster are found as one.
  groups = found.columns["cluster"][:120].reshape(4, 30)
  assert [len(set(group)) for group in groups] == [1] * 4


def test_half_precision_vectors_are_clustered_alike(vectors):
  exact = prototypes.Prototypes(clusters=_means())
  exact.prepare(_read(vectors))
  halves = prototypes.Prototypes(clusters=_means())
  halves.prepare(_read(vectors.astype(np.float16)))
  np.testing.assert_allclose(
    halves.score(vectors.astype(np.float16)).columns["score"],
    exact.score(vectors).columns["score"],
    atol=2e-3,
  )


def test_what_cannot_be_clustered_is_refused(vectors):
  with pytest.raises(clusters.ClusterError, match="3 usable .* lower clusters"):
    _means().fit(iter([vectors[:3]]), name="x")
  with pytest.raises(clusters.ClusterError, match="more rounds"):
    _means(rounds=5)
  with pytest.raises(clusters.ClusterError, match="at least 1"):
    _means(block=0)
  with pytest.raises(clusters.ClusterError, match="prepare must run"):
    prototypes.Prototypes(clusters=_means()).score(vectors)
  scorer = prototypes.Prototypes(clusters=_means())
  scorer.prepare(_read(vectors))
  with pytest.raises(clusters.ClusterError, match="of 5 dimensions.* have 24"):
    scorer.score(vectors[:, :5])
