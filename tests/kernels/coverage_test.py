# SPDX-License-Identifier: Apache-2.0
"""Passes over rows against the sum by its definition."""

import numpy as np

from data_efficient.kernels import coverage


def test_between_is_the_sum_by_its_definition():
  rng = np.random.default_rng(1)
  kernel = rng.random((1000, 7), np.float32)
  low, high = np.sort(rng.random((2, 1000), np.float32), axis=0)
  weight = rng.random(1000, np.float32)
  rows = rng.permutation(1000).astype(np.int32)
  for count in (0, 3, 1000):
    some = rows[:count]
    found = coverage.between(
      kernel, rows, np.int32(count), low=low, high=high, weight=weight
    )
    values = np.clip(
      kernel[some].astype(np.float64), low[some, None], high[some, None]
    )
    expected = weight[some].astype(np.float64) @ (values - low[some, None])
    np.testing.assert_allclose(found, expected, rtol=5e-7)
