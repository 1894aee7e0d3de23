# SPDX-License-Identifier: Apache-2.0
"""Each rule against what it promises."""

import math

import jax
import numpy as np
import pytest

from data_efficient.scorers import bandwidth, bandwidth_search, hash_families

ONE = hash_families.PStable(hashes_per_row=1, projection="dense")
EIGHT = hash_families.PStable(hashes_per_row=8, projection="dense")
ANGULAR = hash_families.Angular(projection="dense")


def sample(size=120, dimensions=4, seed=0):
  """A crowd and some stragglers, so that densities differ."""
  generator = np.random.default_rng(seed)
  scale = np.where(np.arange(size) % 5 == 0, 3.0, 0.3)[:, None]
  vectors = scale * generator.normal(size=(size, dimensions))
  return vectors.astype(np.float32)


def _median_by_loops(vectors):
  return np.median(
    [
      math.dist(vectors[i], vectors[j])
      for i in range(len(vectors))
      for j in range(i)
    ]
  )


def test_a_fixed_width_is_the_number():
  rule = bandwidth.FixedBandwidth(bandwidth=2)
  nothing = np.zeros((0, 3), np.float32)
  assert rule.width(nothing, records=9, family=ONE) == 2.0


def test_the_median_distance_is_over_pairs():
  vectors = sample(30)
  rule = bandwidth.MedianDistance(factor=0.5, sample_size=30)
  assert rule.width(vectors, records=10**6, family=ONE) == pytest.approx(
    0.5 * _median_by_loops(vectors), rel=1e-5
  )


def _share_by_loops(vectors, width, records):
  weights = []
  for i, y in enumerate(vectors):
    values = []
    for j, x in enumerate(vectors):
      if j != i:
        t = width / math.dist(x, y)
        edge = math.sqrt(2 / math.pi) / t * (1 - math.exp(-t * t / 2))
        values.append(math.erf(t / math.sqrt(2)) - edge)
    weights.append(1 / (1 / records + (1 - 1 / records) * np.mean(values)))
  weights = np.array(weights)
  return weights.sum() ** 2 / (weights**2).sum() / len(weights)


@pytest.mark.parametrize("share", [0.6, 0.8, 0.97])
@pytest.mark.parametrize("records", [120, 5000])
def test_the_target_share_is_met(share, records):
  vectors = sample()
  rule = bandwidth_search.TargetEffectiveSampleSize(
    share=share, sample_size=120
  )
  width = rule.width(vectors, records=records, family=ONE)
  assert _share_by_loops(vectors, width, records) == pytest.approx(
    share, abs=1e-3
  )
  # The widest one: a little wider is already more even.
  assert _share_by_loops(vectors, width * 1.1, records) > share


def test_more_hashes_reach_shares_that_one_hash_does_not():
  vectors = np.concatenate([sample(60), sample(60, seed=1)])
  rule = bandwidth_search.TargetEffectiveSampleSize(share=0.2, sample_size=120)
  with pytest.raises(bandwidth.BandwidthError, match="more hashes a row"):
    rule.width(vectors, records=5000, family=ONE)
  width = rule.width(vectors, records=5000, family=EIGHT)
  distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)
  share = bandwidth_search.effective_share(
    distances, width=width, records=5000, family=EIGHT
  )
  assert share == pytest.approx(0.2, abs=1e-3)


def test_a_share_that_no_width_reaches_is_refused():
  even = np.eye(20, dtype=np.float32)  # all distances equal
  rule = bandwidth_search.TargetEffectiveSampleSize(share=0.5, sample_size=20)
  with pytest.raises(bandwidth.BandwidthError, match="ask for a larger share"):
    rule.width(even, records=20, family=ONE)


@pytest.mark.parametrize("vectors", [sample(1), np.ones((9, 4), np.float32)])
@pytest.mark.parametrize(
  "rule",
  [
    bandwidth.MedianDistance(factor=1.0, sample_size=9),
    bandwidth.NeighbourDistance(share=0.2, factor=1.0, sample_size=9),
    bandwidth_search.TargetEffectiveSampleSize(share=0.5, sample_size=9),
  ],
)
def test_samples_without_a_distance_are_refused(rule, vectors):
  with pytest.raises(bandwidth.BandwidthError, match="use FixedBandwidth"):
    rule.width(vectors, records=9, family=ONE)


@pytest.mark.parametrize("number", [0.0, -1.0, math.inf, math.nan])
def test_numbers_that_are_no_width_are_refused(number):
  with pytest.raises(bandwidth.BandwidthError, match="positive number"):
    bandwidth.FixedBandwidth(bandwidth=number)
  with pytest.raises(bandwidth.BandwidthError, match="positive number"):
    bandwidth.MedianDistance(factor=number, sample_size=9)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, math.nan])
def test_shares_outside_zero_to_one_are_refused(share):
  with pytest.raises(bandwidth.BandwidthError, match="between 0 and 1"):
    bandwidth_search.TargetEffectiveSampleSize(share=share, sample_size=9)


def _neighbour_distance_by_loops(vectors, nearest):
  found = []
  for i, y in enumerate(vectors):
    others = [math.dist(x, y) for j, x in enumerate(vectors) if j != i]
    found.append(sorted(others)[nearest - 1])
  return np.median([distance for distance in found if distance > 0])


@pytest.mark.parametrize("share,nearest", [(0.01, 2), (0.05, 6), (1.0, 119)])
def test_the_neighbour_distance_is_that_of_the_share(share, nearest):
  vectors = sample()
  rule = bandwidth.NeighbourDistance(share=share, factor=1.5, sample_size=120)
  assert rule.width(vectors, records=10**6, family=ONE) == pytest.approx(
    1.5 * _neighbour_distance_by_loops(vectors, nearest), rel=1e-4
  )


def test_repeated_records_do_not_narrow_the_neighbour_distance():
  rule = bandwidth.NeighbourDistance(share=0.02, factor=1, sample_size=90)
  vectors = sample(30)
  crowd = np.concatenate([vectors, np.repeat(vectors[:1], 60, axis=0)])
  width = rule.width(crowd, records=90, family=ONE)
  assert width == pytest.approx(
    _neighbour_distance_by_loops(crowd, 2), rel=1e-4
  )
  assert width > 0.1


def test_a_neighbourhood_ranks_by_crowding_and_a_wide_cell_by_the_centre():
  # A far crowd and a sparse middle: the two readings of "dense" disagree.
  generator = np.random.default_rng(0)
  middle = generator.normal(size=(60, 4))
  far = 4.0 + 0.1 * generator.normal(size=(20, 4))
  vectors = np.concatenate([middle, far]).astype(np.float32)
  distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)

  def crowded_first(width):
    values = EIGHT.kernel(distances, width=width)
    order = np.argsort(-values.mean(axis=1))
    return set(order[:20].tolist()) == set(range(60, 80))

  rule = bandwidth.NeighbourDistance(share=0.05, factor=1.5, sample_size=80)
  narrow = rule.width(vectors, records=80, family=ONE)
  assert crowded_first(narrow)
  assert not crowded_first(8 * bandwidth.median_distance(distances))


@pytest.mark.parametrize(
  "share,factor,sample_size",
  [(0.0, 1, 9), (1.5, 1, 9), (math.nan, 1, 9), (0.01, 1, 99), (0.5, 0, 9)],
)
def test_a_neighbourhood_of_nobody_is_refused(share, factor, sample_size):
  with pytest.raises(bandwidth.BandwidthError, match="neighbour|positive"):
    bandwidth.NeighbourDistance(
      share=share, factor=factor, sample_size=sample_size
    )


def test_bits_and_widths_of_angles_are_each_others_inverse():
  widths = [hash_families.width_of(bits) for bits in range(1, 31)]
  assert [hash_families.bits_of(width) for width in widths] == list(
    range(1, 31)
  )
  # There the kernel has fallen to 1/e.
  for bits, width in enumerate(widths, start=1):
    assert (1 - width / math.pi) ** bits == pytest.approx(1 / math.e)
  assert hash_families.bits_of(3.5) == 1


def test_bits_are_a_width_of_the_angular_family_alone():
  rule = bandwidth.AngularBits(bits=7)
  nothing = np.zeros((0, 3), np.float32)
  width = rule.width(nothing, records=9, family=ANGULAR)
  assert hash_families.bits_of(width) == 7
  with pytest.raises(bandwidth.BandwidthError, match="not for PStable"):
    rule.width(nothing, records=9, family=ONE)
  for bits in (0, 31):
    with pytest.raises(bandwidth.BandwidthError, match="from 1 to 30"):
      bandwidth.AngularBits(bits=bits)


def test_the_median_angle_is_over_pairs():
  vectors = sample(30)
  unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
  angles = [
    math.acos(np.clip(unit[i] @ unit[j], -1, 1))
    for i in range(30)
    for j in range(i)
  ]
  rule = bandwidth.MedianDistance(factor=0.5, sample_size=30)
  assert rule.width(vectors, records=9, family=ANGULAR) == pytest.approx(
    0.5 * np.median(angles), rel=1e-4
  )


def test_a_target_share_in_bits():
  # Directions of a crowd and of stragglers.
  generator = np.random.default_rng(0)
  crowd = [9, 0, 0, 0] + generator.normal(size=(90, 4))
  vectors = np.concatenate([crowd, generator.normal(size=(30, 4))])
  vectors = vectors.astype(np.float32)
  rule = bandwidth_search.TargetEffectiveSampleSize(share=0.7, sample_size=120)
  width = rule.width(vectors, records=120, family=ANGULAR)
  distances = ANGULAR.distances(vectors)

  def share(bits):
    return bandwidth_search.effective_share(
      distances,
      width=hash_families.width_of(bits),
      records=120,
      family=ANGULAR,
    )

  bits = hash_families.bits_of(width)
  assert share(bits) <= 0.7 < share(bits - 1)


def test_an_angle_too_narrow_for_its_bits_is_refused():
  with pytest.raises(hash_families.HashFamilyError, match="314 bits.* 30"):
    ANGULAR.draw(jax.random.key(0), dimensions=3, num_rows=5, width=0.01)


def test_an_unknown_projection_is_refused():
  with pytest.raises(hash_families.HashFamilyError, match="dense, structured"):
    hash_families.Angular(projection="sparse")
