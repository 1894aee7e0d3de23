# SPDX-License-Identifier: Apache-2.0
"""Optimizers, and learning rates by step.

T5's Adafactor under a reciprocal square root schedule, and AdamW.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

Schedule = Callable[[int], float]
Optimizer = Callable[[Schedule], optax.GradientTransformation]


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


def linear(*, peak: float, warmup_share: float, steps: int) -> Schedule:
  """Learning rate that rises to a peak, then falls to 0 at the last step.

  Args:
    peak: of the learning rate.
    warmup_share: of the steps, in which it rises; in [0, 1).
    steps: of the run.

  Raises:
    ValueError: a share out of its range.
  """
  if not 0.0 <= warmup_share < 1.0:
    raise ValueError(f"warmup_share = {warmup_share}: expected [0, 1)")
  rising = round(warmup_share * steps)
  return optax.join_schedules(
    [
      # A step before the first has 0: none is lost.
      optax.linear_schedule(peak / (rising + 1), peak, rising),
      optax.linear_schedule(peak, 0.0, steps - rising),
    ],
    [rising],
  )


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


def adamw(
  *, b1: float, b2: float, epsilon: float, weight_decay: float
) -> Optimizer:
  """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), of any schedule.

  The decay is multiplied with the learning rate, as in Optax and PyTorch.
  Norms and biases, the parameters of one axis, do not decay.

  Args:
    b1: decay of the gradients' mean, in [0, 1).
    b2: decay of their squares' mean, in [0, 1).
    epsilon: added to the square root, above 0.
    weight_decay: share of a parameter that a step takes away, times the
      learning rate; 0 for Adam.

  Raises:
    ValueError: a number out of its range.
  """
  if not (0.0 <= b1 < 1.0 and 0.0 <= b2 < 1.0):
    raise ValueError(f"adamw: b1 = {b1}, b2 = {b2}: expected [0, 1)")
  if not epsilon > 0.0 or weight_decay < 0.0:
    raise ValueError(
      f"adamw: epsilon = {epsilon}, weight_decay = {weight_decay}: expected"
      " more than 0, and 0 or more"
    )

  def decays(parameters: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: len(leaf.shape) > 1, parameters)

  def optimizer(schedule: Schedule) -> optax.GradientTransformation:
    return optax.adamw(
      schedule,
      b1=b1,
      b2=b2,
      eps=epsilon,
      weight_decay=weight_decay,
      mask=decays,
    )

  return optimizer
