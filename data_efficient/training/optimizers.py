# SPDX-License-Identifier: Apache-2.0
"""T5's optimizer: Adafactor under a reciprocal square root schedule."""

from collections.abc import Callable

import jax.numpy as jnp
import optax

Schedule = Callable[[int], float]


def rsqrt(*, base: float, warmup_steps: int) -> Schedule:
  """Learning rate at step t: base / √max(t, warmup_steps).

  Constant for `warmup_steps` steps, then falling (Raffel et al. 2020, arXiv
  1910.10683, Section 3.1.2: base 1.0, 10,000 steps).
  """

  def learning_rate(step):
    return base / jnp.sqrt(jnp.maximum(step, warmup_steps))

  return learning_rate


def adafactor(schedule: Schedule) -> optax.GradientTransformation:
  """Adafactor as T5 uses it (Shazeer and Stern 2018, arXiv 1804.04235).

  Factored second moments with decay 1 − t^−0.8, no momentum, updates clipped
  at RMS 1 and scaled by the RMS of the parameter.
  """
  return optax.adafactor(
    learning_rate=schedule,
    min_dim_size_to_factor=128,
    decay_rate=0.8,
    multiply_by_parameter_scale=True,
    clipping_threshold=1.0,
    momentum=None,
  )
