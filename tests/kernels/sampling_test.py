# SPDX-License-Identifier: Apache-2.0
"""Keys are uniform, independent and a function of the position alone."""

import math

import numpy as np
import pytest
from scipy import stats

from data_efficient.kernels import sampling

COUNT = 40_000
STREAM = 0x1234_5678_9ABC_DEF0


def draw(seed=0, stream=STREAM, count=COUNT, start=0):
  return sampling.uniforms(seed=seed, stream=stream, count=count, start=start)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("stream", [0, 1, STREAM])
def test_uniforms_are_uniform(seed, stream):
  values = draw(seed, stream)
  assert values.min() > 0 and values.max() < 1
  for bits in (values, values * 1024 % 1, values * 2**32 % 1):
    counts = np.histogram(bits, bins=64, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-5


@pytest.mark.parametrize(
  "other",
  [
    {"seed": 1},
    {"stream": STREAM + 1},
    {"stream": STREAM ^ 2**63},
    {"start": 1},
    {"start": 4},
    {"seed": STREAM, "stream": 0},
  ],
)
def test_neighbours_are_not_correlated(other):
  left, right = draw(), draw(**other)
  correlation = np.corrcoef(left, right)[0, 1]
  assert abs(correlation) < 5 / math.sqrt(COUNT)
  pairs = np.histogram2d(left, right, bins=8, range=[[0, 1], [0, 1]])[0]
  assert stats.chisquare(pairs.ravel()).pvalue > 1e-5


def test_first_draws_of_consecutive_seeds_and_streams_are_uniform():
  for draws in (
    [draw(seed=seed, count=1)[0] for seed in range(3000)],
    [draw(stream=stream, count=1)[0] for stream in range(3000)],
  ):
    assert stats.kstest(draws, "uniform").pvalue > 1e-5


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 4097])
def test_a_part_is_a_part_of_the_whole(start):
  whole = draw(count=5000)
  np.testing.assert_array_equal(
    draw(start=start, count=77), whole[start : start + 77]
  )


def _philox(seed, stream, position):
  """Philox4x64-10 as Salmon et al. define it, in Python's integers."""
  words, keys = [position // 4 + 1, 0, 0, 0], [seed, stream]
  for _ in range(10):
    left = 0xD2E7470EE14C6C93 * words[0]
    right = 0xCA5A826395121157 * words[2]
    words = [
      (right >> 64) ^ words[1] ^ keys[0],
      right % 2**64,
      (left >> 64) ^ words[3] ^ keys[1],
      left % 2**64,
    ]
    keys[0] = (keys[0] + 0x9E3779B97F4A7C15) % 2**64
    keys[1] = (keys[1] + 0xBB67AE8584CAA73B) % 2**64
  return words[position % 4]


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_uniforms_are_philox_of_the_position(seed):
  # Selections on disk depend on these numbers: they must never change.
  expected = [
    (_philox(seed, STREAM, position) // 2**12 + 0.5) / 2**52
    for position in range(100, 110)
  ]
  found = draw(seed=seed, start=100, count=10)
  np.testing.assert_array_equal(found, expected)


def test_gumbels_are_gumbel():
  keys = sampling.gumbels(seed=0, stream=STREAM, count=COUNT)
  assert stats.kstest(keys, "gumbel_r").pvalue > 1e-5
  np.testing.assert_array_equal(keys, -np.log(-np.log(draw())))


@pytest.mark.parametrize("weight", [0.0, 1e-20, 1e-3, 0.1, 1.0, 30.0, np.inf])
@pytest.mark.parametrize("start", [0, 3, 4097])
def test_keys_that_reach_are_found_without_the_others(weight, start):
  keys = sampling.gumbels(seed=5, stream=STREAM, count=COUNT, start=start)
  generator = np.random.default_rng(0)
  weights = np.float64(weight) * generator.uniform(0.5, 2, COUNT)
  weights[::7] = np.nan
  rows, found = sampling.reaching(weights, seed=5, stream=STREAM, start=start)
  np.testing.assert_array_equal(found, keys[rows])
  with np.errstate(divide="ignore"):
    reach = np.flatnonzero(np.log(weights) + keys >= 0)
  assert set(reach) <= set(rows) and not np.isnan(weights[rows]).any()
  # Few that do not reach are looked at.
  assert len(rows) < 2 * len(reach) + 50


@pytest.mark.parametrize(
  "wrong",
  [{"seed": -1}, {"seed": 2**64}, {"stream": -1}, {"start": -1}],
)
def test_numbers_that_do_not_fit_are_refused(wrong):
  with pytest.raises(ValueError, match="must be from 0|no positions"):
    draw(**wrong)


def test_weights_are_inverse_densities():
  densities = np.array([1.0, 4.0, 1e-300, np.nan, 0.5])
  weights = sampling.inverse_propensity_log_weights(densities)
  np.testing.assert_allclose(np.exp(weights[:2]), [1, 0.25])
  # The misprint of Algorithm 2 would turn this order around.
  assert weights[2] > weights[4] > weights[0] > weights[1]
  assert np.isnan(weights[3])


@pytest.mark.parametrize("density", [0.0, -1.0, np.inf, -np.inf])
def test_densities_that_are_none_are_refused(density):
  with pytest.raises(ValueError, match="at index 1"):
    sampling.inverse_propensity_log_weights(np.array([1.0, density]))


def test_weight_summary_is_its_definition():
  weights = np.array([1.0, 2.0, 5.0])
  log_weights = np.log([1.0, np.nan, 2.0, 5.0])
  for shift in (0.0, 900.0, -900.0):  # e^±900 is out of range
    summary = sampling.summarise_log_weights(log_weights + shift)
    assert summary.records == 3
    assert summary.ratio == pytest.approx(5)
    assert summary.effective_sample_size == pytest.approx(
      weights.sum() ** 2 / (weights**2).sum()
    )


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_inverses_are_summarised_without_logarithms(scale):
  densities = np.random.default_rng(0).uniform(1e-4, 1, 200) * scale
  log_weights = sampling.inverse_propensity_log_weights(densities)
  expected = sampling.summarise_log_weights(log_weights)
  found = sampling.summarise_inverses(densities)
  assert found == pytest.approx(expected)
  assert sampling.summarise_inverses(np.zeros(0)).records == 0


def test_equal_weights_are_worth_all_records():
  summary = sampling.summarise_log_weights(np.full(10, -3.0))
  assert (summary.records, summary.ratio) == (10, 1.0)
  assert summary.effective_sample_size == 10


def test_a_ratio_beyond_float64_is_infinite_and_silent():
  summary = sampling.summarise_log_weights(np.array([0.0, 1000.0]))
  assert summary.ratio == math.inf
  assert summary.effective_sample_size == 1


def test_summaries_of_parts_join_to_that_of_the_whole():
  log_weights = np.random.default_rng(0).normal(scale=300, size=60)
  whole = sampling.summarise_log_weights(log_weights)
  joined = sampling.WeightSummary()
  for part in np.split(log_weights, [0, 7, 7, 40]):
    joined = joined.joined(sampling.summarise_log_weights(part))
  assert joined == pytest.approx(whole)
  nothing = sampling.summarise_log_weights(np.array([np.nan]))
  assert nothing.records == 0 and whole.joined(nothing) == whole
