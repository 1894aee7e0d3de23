# SPDX-License-Identifier: Apache-2.0
"""Each rule against what it promises."""

import math

import numpy as np
import pytest

from data_efficient.scorers import bandwidth


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
  assert rule.width(np.zeros((0, 3), np.float32), records=9) == 2.0


def test_the_median_distance_is_over_pairs():
  vectors = sample(30)
  rule = bandwidth.MedianDistance(factor=0.5, sample_size=30)
  assert rule.width(vectors, records=10**6) == pytest.approx(
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
  rule = bandwidth.TargetEffectiveSampleSize(share=share, sample_size=120)
  width = rule.width(vectors, records=records)
  assert _share_by_loops(vectors, width, records) == pytest.approx(
    share, abs=1e-3
  )
  # The widest one: a little wider is already more even.
  assert _share_by_loops(vectors, width * 1.1, records) > share


def test_more_hashes_reach_shares_that_one_hash_does_not():
  vectors = np.concatenate([sample(60), sample(60, seed=1)])
  rule = bandwidth.TargetEffectiveSampleSize(share=0.2, sample_size=120)
  with pytest.raises(bandwidth.BandwidthError, match="more hashes a row"):
    rule.width(vectors, records=5000)
  width = rule.width(vectors, records=5000, hashes_per_row=8)
  distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1)
  share = bandwidth.effective_share(
    distances, width=width, records=5000, hashes_per_row=8
  )
  assert share == pytest.approx(0.2, abs=1e-3)


def test_a_share_that_no_width_reaches_is_refused():
  even = np.eye(20, dtype=np.float32)  # all distances equal
  rule = bandwidth.TargetEffectiveSampleSize(share=0.5, sample_size=20)
  with pytest.raises(bandwidth.BandwidthError, match="ask for a larger share"):
    rule.width(even, records=20)


@pytest.mark.parametrize("vectors", [sample(1), np.ones((9, 4), np.float32)])
@pytest.mark.parametrize(
  "rule",
  [
    bandwidth.MedianDistance(factor=1.0, sample_size=9),
    bandwidth.TargetEffectiveSampleSize(share=0.5, sample_size=9),
  ],
)
def test_samples_without_a_distance_are_refused(rule, vectors):
  with pytest.raises(bandwidth.BandwidthError, match="use FixedBandwidth"):
    rule.width(vectors, records=9)


@pytest.mark.parametrize("number", [0.0, -1.0, math.inf, math.nan])
def test_numbers_that_are_no_width_are_refused(number):
  with pytest.raises(bandwidth.BandwidthError, match="positive number"):
    bandwidth.FixedBandwidth(bandwidth=number)
  with pytest.raises(bandwidth.BandwidthError, match="positive number"):
    bandwidth.MedianDistance(factor=number, sample_size=9)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, math.nan])
def test_shares_outside_zero_to_one_are_refused(share):
  with pytest.raises(bandwidth.BandwidthError, match="between 0 and 1"):
    bandwidth.TargetEffectiveSampleSize(share=share, sample_size=9)


def test_the_nearest_share_is_the_target_or_the_least():
  rule = bandwidth.NearestEffectiveSampleSize(share=0.6, sample_size=120)
  target = bandwidth.TargetEffectiveSampleSize(share=0.6, sample_size=120)
  vectors = sample()
  assert rule.width(vectors, records=120) == target.width(vectors, records=120)
  assert rule.identity() != target.identity()
  far = bandwidth.NearestEffectiveSampleSize(share=0.01, sample_size=120)
  width = far.width(vectors, records=120)
  least = _share_by_loops(vectors, width, 120)
  assert least > 0.01
  for factor in (0.25, 0.5, 2.0, 4.0):
    assert _share_by_loops(vectors, width * factor, 120) >= least - 1e-3
