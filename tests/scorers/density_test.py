# SPDX-License-Identifier: Apache-2.0
"""Density end to end: pool in, scores out, and what sampling makes of them."""

import numpy as np
import pytest

from data_efficient.kernels import kernel_density
from data_efficient.scorers import bandwidth, density, hash_families
from data_efficient.scorers import vectors as vector_streams
from data_efficient.scorers.sketch_store import Absorbed
from data_efficient.selection import interface, inverse_propensity


def make(width=1.0, hashes_per_row=1, **changes):
  settings = {
    "num_rows": 64,
    "num_buckets": 509,
    "family": hash_families.PStable(
      hashes_per_row=hashes_per_row, projection="dense"
    ),
    "bandwidth": bandwidth.FixedBandwidth(bandwidth=width),
    "seed": 0,
    "block": 128,
  }
  return density.Density(**(settings | changes))


def clusters(sizes, *, spread=0.05, distance=10.0, dimensions=6, seed=0):
  """Tight clusters of the given sizes, `distance` apart, shuffled."""
  generator = np.random.default_rng(seed)
  labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
  centres = distance * np.eye(len(sizes), dimensions) + 1
  noise = spread * generator.normal(size=(len(labels), dimensions))
  return (centres[labels] + noise).astype(np.float32), labels


def prepared(vectors, *, cuts=None, **settings):
  scorer = make(**settings)
  scorer.prepare(lambda split: iter(np.split(vectors, cuts or [])))
  return scorer


def kept_labels(vectors, labels, *, width, count, seed=0):
  scorer = prepared(vectors, width=width)
  scores = scorer.score(vectors).columns["score"]
  priorities = inverse_propensity.InversePropensity().priorities(
    interface.Shard("s", len(vectors), scores), seed=seed
  )
  kept = np.argsort(-priorities)[:count]
  return np.bincount(labels[kept], minlength=labels.max() + 1)


@pytest.mark.parametrize("hashes_per_row", [1, 2])
def test_scores_estimate_the_exact_mean_kernel(hashes_per_row):
  vectors, _ = clusters([300, 60], spread=0.3)
  scorer = prepared(
    vectors, width=2.0, num_rows=400, hashes_per_row=hashes_per_row
  )
  scores = scorer.score(vectors).columns["score"]
  exact = kernel_density.kernel_sums(
    vectors, vectors, width=2.0, block=128, hashes_per_row=hashes_per_row
  )
  np.testing.assert_allclose(scores, np.asarray(exact) / 360, rtol=0.25)
  assert scores.dtype == np.float32


def test_angular_scores_estimate_the_exact_mean_kernel():
  vectors, _ = clusters([300, 60], spread=0.3)
  scorer = prepared(
    vectors,
    num_rows=400,
    family=hash_families.Angular(projection="structured"),
    bandwidth=bandwidth.AngularBits(bits=6),
  )
  scores = scorer.score(vectors).columns["score"]
  exact = kernel_density.angular_kernel_sums(
    vectors, vectors, bits=6, block=128
  )
  np.testing.assert_allclose(scores, np.asarray(exact) / 360, rtol=0.25)
  assert scorer.facts()["bandwidth"] == hash_families.width_of(6)


def test_narrow_cells_even_out_a_mixture_and_wide_ones_leave_it():
  vectors, labels = clusters([1000, 100])
  narrow = sum(
    kept_labels(vectors, labels, width=1.0, count=60, seed=seed)
    for seed in range(10)
  )
  wide = sum(
    kept_labels(vectors, labels, width=2000.0, count=60, seed=seed)
    for seed in range(10)
  )
  assert 0.7 < narrow[0] / narrow[1] < 1.8
  assert 7 < wide[0] / wide[1] < 15


def test_copies_are_kept_less_often_than_what_is_unique():
  generator = np.random.default_rng(0)
  unique = generator.normal(size=(500, 8)).astype(np.float32)
  copies = np.repeat(unique[:5], 49, axis=0)
  vectors = np.concatenate([unique, copies])
  copied = np.r_[:5, 500 : len(vectors)]  # 5 records, 50 times each
  labels = np.zeros(len(vectors), np.int64)
  labels[copied] = 1
  kept = kept_labels(vectors, labels, width=0.05, count=150)
  per_copy, per_unique = kept[1] / 250, kept[0] / 495
  assert per_copy < per_unique / 5


def test_blocks_of_the_stream_and_of_the_scores_do_not_matter():
  vectors, _ = clusters([150, 50])
  whole = prepared(vectors)
  parts = prepared(vectors, cuts=[1, 1, 77, 140])
  np.testing.assert_array_equal(
    whole.state.sketch.counts, parts.state.sketch.counts
  )
  scores = whole.score(vectors).columns["score"]
  np.testing.assert_array_equal(scores, parts.score(vectors).columns["score"])
  halves = [whole.score(part).columns["score"] for part in (vectors[:9],)]
  np.testing.assert_array_equal(np.concatenate(halves), scores[:9])


class Stopped(Exception):
  """What a test stops a pass with."""


class MemoryStore:
  """Keeps every sketch, and stops the pass after some."""

  def __init__(self, stop_after=None):
    self.kept: list[Absorbed] = []
    self.stop_after = stop_after

  def load(self):
    return self.kept[-1] if self.kept else None

  def due(self):
    return True

  def keep(self, absorbed):
    self.kept.append(absorbed)
    if len(self.kept) == self.stop_after:
      raise Stopped

  def begin(self, begin):
    return self.load() or begin()

  def complete(self, begun, count):
    return count(begun, None, self)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_pass_goes_on_to_the_same_bits(stop_after):
  vectors, _ = clusters([150, 50])
  vectors[7] = np.nan
  read = []

  def stream(split):
    read.append(split)
    return iter(np.split(vectors, [30, 77]))

  plain = prepared(vectors, part_records=60)
  scorer = make(part_records=60)
  scorer.sketch_store = store = MemoryStore(stop_after)
  with pytest.raises(Stopped):
    scorer.prepare(stream)
  assert store.kept[-1].parts == tuple(range(stop_after))
  assert len(read) == 2
  scorer = make(part_records=60)
  scorer.sketch_store = store
  scorer.prepare(stream)
  assert len(read) == 3  # the width was not chosen again
  np.testing.assert_array_equal(
    scorer.state.sketch.counts, plain.state.sketch.counts
  )
  np.testing.assert_array_equal(
    scorer.score(vectors).columns["score"],
    plain.score(vectors).columns["score"],
  )
  assert store.kept[-1].parts == (0, 1, 2, 3)
  assert store.kept[-1].total == store.kept[-1].records == 199
  scorer.prepare(stream)
  assert len(read) == 3  # all is there


def test_a_pool_that_changed_meanwhile_is_refused():
  vectors, _ = clusters([150, 50])
  scorer = make(part_records=60)
  scorer.sketch_store = MemoryStore(stop_after=1)
  with pytest.raises(Stopped):
    scorer.prepare(lambda split: iter([vectors]))
  with pytest.raises(density.DensityError, match="199 vectors.* had 200"):
    scorer.prepare(lambda split: iter([vectors[:-1]]))
  wider = np.pad(vectors, ((0, 0), (0, 1)))
  with pytest.raises(vector_streams.VectorError, match="several dimensions"):
    scorer.prepare(lambda split: iter([wider]))


def test_a_pool_of_one_record_and_empty_shards():
  vectors, _ = clusters([1])
  nothing = np.zeros((0, 6), np.float32)
  scorer = make()
  scorer.prepare(lambda split: iter([nothing, vectors, nothing]))
  assert scorer.score(vectors).columns["score"].tolist() == [1.0]
  assert scorer.score(nothing).statuses == []


def test_seeds_draw_other_hashes():
  vectors, _ = clusters([50, 50], spread=1.0)
  first, again, other = (
    prepared(vectors, seed=seed).score(vectors).columns["score"]
    for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first, other)


def test_vectors_that_are_none_are_unscorable_and_not_counted():
  vectors, _ = clusters([20, 10])
  bad = np.zeros((3, 6), np.float32)
  bad[0, 1], bad[1, 2] = np.nan, np.inf
  mixed = np.concatenate([vectors[:7], bad, vectors[7:]])
  scorer, clean = prepared(mixed), prepared(vectors)
  assert scorer.facts()["pool_records"] == 30
  scores = scorer.score(mixed)
  assert scores.statuses[7:10] == [
    "unscorable(vector is not finite)",
    "unscorable(vector is not finite)",
    "unscorable(zero vector)",
  ]
  assert scores.statuses.count("scored") == 30
  found = scores.columns["score"]
  assert np.isnan(found[7:10]).all()
  np.testing.assert_array_equal(
    np.delete(found, [7, 8, 9]), clean.score(vectors).columns["score"]
  )


def test_a_batch_without_a_usable_vector_has_no_score():
  scorer = prepared(clusters([9])[0])
  for size in (0, 2):
    scores = scorer.score(np.zeros((size, 6), np.float32))
    assert scores.statuses == ["unscorable(zero vector)"] * size
    assert scores.columns["score"].shape == (size,)


def test_scores_are_never_below_a_record_alone():
  # Few buckets and lone vectors: the unbiased estimate is often negative.
  vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
  scorer = prepared(vectors, width=1e-3, num_rows=8, num_buckets=3)
  scores = scorer.score(vectors).columns["score"]
  assert scores.min() == np.float32(1 / 200)
  assert scores.max() <= 1


def test_half_precision_vectors_are_scored():
  vectors, _ = clusters([30, 10])
  half = vectors.astype(np.float16)
  scores = prepared(half).score(half).columns["score"]
  np.testing.assert_allclose(
    scores, prepared(half.astype(np.float32)).score(half).columns["score"]
  )


def test_identity_names_every_number_and_survives_prepare():
  scorer = make()
  before = scorer.identity()
  assert before == {
    "name": "density",
    "num_rows": 64,
    "num_buckets": 509,
    "family": {
      "family": "p_stable",
      "hashes_per_row": 1,
      "projection": "dense",
    },
    "bandwidth": {"rule": "fixed", "bandwidth": 1.0},
    "seed": 0,
    "block": 128,
  }
  scorer.prepare(lambda split: iter([clusters([9])[0]]))
  assert scorer.identity() == before
  assert scorer.facts() == {
    "bandwidth": 1.0,
    "pool_records": 9,
    "sketch_bytes": 4 * 64 * 509,
  }


@pytest.mark.parametrize(
  "blocks",
  [[], [np.zeros((3, 4), np.float32)], [np.full((1, 4), np.nan, np.float32)]],
)
def test_an_empty_pool_is_refused(blocks):
  with pytest.raises(density.DensityError, match="0 usable vectors"):
    make().prepare(lambda split: iter(blocks))


def test_other_dimensions_are_refused():
  scorer = prepared(clusters([9])[0])
  with pytest.raises(density.DensityError, match="5 dimensions.* have 6"):
    scorer.score(np.ones((2, 5), np.float32))
  blocks = [np.ones((2, 5), np.float32), np.ones((2, 6), np.float32)]
  with pytest.raises(density.DensityError, match="several dimensions"):
    make().prepare(lambda split: iter(blocks))


def test_scoring_before_preparing_is_refused():
  with pytest.raises(density.DensityError, match="prepare must run"):
    make().score(np.ones((1, 6), np.float32))
  with pytest.raises(density.DensityError, match="prepare must run"):
    make().facts()
