# SPDX-License-Identifier: Apache-2.0
"""DEFT-UCS beside a twin that picks record by record."""

import numpy as np
import pytest

from data_efficient.data import working_directories
from data_efficient.scorers import clusters, deft_ucs
from data_efficient.selection import budget, interface, top
from tests.scorers.clusters_test import _means, _numbered, _read, _unit

FIRST = 1000


@pytest.fixture(scope="module")
def vectors():
  """Four clusters of very different sizes; two records are one vector."""
  random = np.random.default_rng(1)
  centres = random.normal(size=(4, 16))
  made = np.repeat(centres, [40, 25, 10, 5], axis=0)
  made = made + random.normal(size=made.shape) / 4
  made[7] = made[3]
  return made[random.permutation(len(made))].astype(np.float32)


def _scorer(vectors, cut=17, **settings):
  scorer = deft_ucs.DeftUcs(clusters=_means(), **{"easy": 0.5} | settings)
  scorer.prepare(_read(_numbered(vectors), cut))
  return scorer


def _cosines(scorer, vectors):
  """To the own centroid, in float64 of what k-means found."""
  means, unit = _means(), _unit(vectors)
  centroids = means.fit(iter([vectors]), name="twin")
  labels, _ = means.assign(centroids, unit)
  own = (unit.astype(np.float64) * centroids[labels]).sum(axis=1)
  return labels, own


def _slowly(labels, cosines, easy):
  """Turn by turn: the nearest or the farthest that is left."""
  turns = np.zeros(len(labels), int)
  for label in set(labels.tolist()):
    left = [int(n) for n in np.flatnonzero(labels == label)]
    left.sort(key=lambda n: (cosines[n], n))  # the farthest first
    taken = 0
    for turn in range(len(left)):
      wanted = np.floor(easy * (turn + 1) + 0.5)
      if wanted > taken:
        taken += 1
        turns[left.pop()] = turn
      else:
        turns[left.pop(0)] = turn
  return turns


@pytest.mark.parametrize("easy", [0.0, 0.25, 0.5, 1.0])
def test_turns_are_the_twin_s(easy, vectors):
  scorer = _scorer(vectors, easy=easy)
  found = scorer.score(_numbered(vectors))
  assert set(found.statuses) == {"scored"}
  labels, cosines = _cosines(scorer, vectors)
  np.testing.assert_array_equal(found.columns["cluster"], labels)
  # float64 here, float32 there; copies lie equally far.
  ours, twin = -found.columns["score"], _slowly(labels, cosines, easy)
  assert (ours == twin).mean() > 0.95
  for label in range(4):
    own = ours[labels == label]
    assert sorted(own.tolist()) == list(range(len(own)))
    among = found.columns["easy"][labels == label][np.argsort(own)]
    wanted = np.floor(easy * np.arange(1, len(own) + 1) + 0.5)
    np.testing.assert_array_equal(np.cumsum(among), wanted)


def test_easy_ones_are_nearer_than_hard_ones(vectors):
  scorer = _scorer(vectors)
  found = scorer.score(_numbered(vectors)).columns
  labels, cosines = _cosines(scorer, vectors)
  for label in range(4):
    own = labels == label
    easy = own & (found["easy"] == 1)
    assert cosines[easy].min() >= cosines[own & ~easy].max() - 1e-6


def _kept(scores, count):
  """What `Top` keeps: ties go to the earlier record."""
  priorities = top.Top(highest=True).priorities(
    interface.Shard("a", len(scores), scores), seed=0
  )
  wanted = budget.examples(count).of(len(scores))
  return set(np.argsort(-priorities, kind="stable")[:wanted].tolist())


def test_every_budget_takes_as_many_of_each_cluster_that_has_them(vectors):
  found = _scorer(vectors).score(_numbered(vectors)).columns
  labels, before = found["cluster"], set()
  for count in (1, 4, 8, 20, 41, 80):
    kept = _kept(found["score"], count)
    assert len(kept) == count and before <= kept
    before = kept
    taken = np.bincount(labels[sorted(kept)], minlength=4)
    sizes = np.bincount(labels, minlength=4)
    most = taken.max()
    # A cluster that gave less than the most, less the last round, is used up.
    assert all(
      own >= most - 1 or own == size
      for own, size in zip(taken, sizes, strict=True)
    )


def test_turns_do_not_depend_on_how_the_pool_is_cut(vectors):
  rows = _numbered(vectors)
  whole = _scorer(vectors, cut=80).score(rows).columns["score"]
  cut = _scorer(vectors, cut=7)
  parts = [cut.score(rows[50:]), cut.score(rows[:50])][::-1]
  joined = np.concatenate([part.columns["score"] for part in parts])
  np.testing.assert_array_equal(joined, whole)


def test_little_memory_and_pieces_on_disk_change_no_turn(vectors, tmp_path):
  rows = _numbered(vectors)
  whole = _scorer(vectors).score(rows).columns["score"]
  scorer = deft_ucs.DeftUcs(clusters=_means(), easy=0.5, memory_bytes=1000)
  scorer.working_files = working_directories.WorkingDirectory(tmp_path / "w")
  scorer.prepare(_read(rows))
  np.testing.assert_array_equal(scorer.score(rows).columns["score"], whole)


def test_a_share_is_met_or_refused(vectors):
  rows = _numbered(vectors)
  scorer = _scorer(vectors, share=5)
  statuses = scorer.score(rows).statuses
  assert statuses.count("scored") == 20
  assert statuses.count("unscorable(beyond its cluster's share)") == 60
  with pytest.raises(clusters.ClusterError, match="lower the share") as raised:
    _scorer(vectors, share=6)
  assert "1 of 4 clusters" in str(raised.value) and "(5)" in str(raised.value)


def test_what_is_not_in_the_pool_has_no_turn(vectors):
  rows = _numbered(np.concatenate([vectors, vectors[:2]]))
  rows["vector"][81] = np.nan
  scorer = _scorer(vectors)
  assert scorer.score(rows[-2:]).statuses == [
    *("unscorable(not in the pool)", "unscorable(vector is not finite)")
  ]
  assert scorer.score(rows[:0]).statuses == []
  with pytest.raises(clusters.ClusterError, match="prepare"):
    deft_ucs.DeftUcs(clusters=_means(), easy=0.5).score(rows)


@pytest.mark.parametrize("settings", [{"easy": 1.5}, {"easy": 0.5, "share": 0}])
def test_shares_that_cannot_be(settings):
  with pytest.raises(clusters.ClusterError, match="share"):
    deft_ucs.DeftUcs(clusters=_means(), **settings)
