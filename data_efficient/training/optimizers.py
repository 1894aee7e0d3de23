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


def constant(*, learning_rate: float) -> Schedule:
  """The same learning rate at every step; T5 fine-tunes at 0.001."""

  def at(step):
    return jnp.full_like(step, learning_rate, dtype=jnp.float32)

  return at


def adafactor(schedule: Schedule) -> optax.GradientTransformation:
  """Adafactor as T5 uses it (Shazeer and Stern 2018, arXiv 1804.04235).

  Factored second moments with decay 1 − t^−0.8, no momentum, updates clipped
  at RMS 1 and scaled by the RMS of the parameter, 1e-3 at least.

  T5X's own Adafactor computes the same for arrays of up to two axes, and T5
  has no others: for more, Optax factors the two largest, T5X asks for a rule.
  T5X counts t from the step that it restores, less `step_offset`; Optax from
  0 in every new state.
  """
  return optax.adafactor(
    learning_rate=schedule,
    min_dim_size_to_factor=128,
    decay_rate=0.8,
    multiply_by_parameter_scale=True,
    clipping_threshold=1.0,
    momentum=None,
  )
