# SPDX-License-Identifier: Apache-2.0
"""The linear schedule, step by step."""

import numpy as np
import pytest

from data_efficient.training import optimizers


def test_it_rises_and_falls_in_lines():
  schedule = optimizers.linear(peak=0.8, warmup_share=0.3, steps=10)
  found = [float(schedule(step)) for step in range(11)]
  # Three steps up to the peak, seven down to 0 behind the last.
  rising = [0.2, 0.4, 0.6]
  falling = [0.8 * left / 7 for left in range(7, -1, -1)]
  np.testing.assert_allclose(found, [*rising, *falling], atol=1e-6)


def test_without_a_rise_it_falls_at_once():
  schedule = optimizers.linear(peak=0.5, warmup_share=0.0, steps=4)
  found = [float(schedule(step)) for step in range(4)]
  np.testing.assert_allclose(found, [0.5, 0.375, 0.25, 0.125])


def test_a_share_that_leaves_nothing():
  with pytest.raises(ValueError, match="warmup_share = 1.0"):
    optimizers.linear(peak=0.5, warmup_share=1.0, steps=4)
