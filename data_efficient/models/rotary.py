# SPDX-License-Identifier: Apache-2.0
"""Rotary positions: queries and keys turned by an angle a position and pair.

Su et al. (arXiv 2104.09864). Component i of a head is turned together with
component i + d/2, as in Llama's published files, by position · θ^(−2i/d).
Longer texts than a model was trained on are read with slower angles: one of
three published scalings.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
  """All angles divided by `factor` (Chen et al., arXiv 2306.15595)."""

  factor: float

  magnitude = 1.0

  def slowed(self, frequencies: np.ndarray, *, theta: float) -> np.ndarray:
    """The angles a position, radians."""
    del theta
    return frequencies / self.factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Llama3:
  """Angles of long waves divided by `factor`, of short ones not (Llama 3.1).

  Attributes:
    factor: divisor of waves longer than original_length / low_freq_factor.
    low_freq_factor: see there.
    high_freq_factor: waves shorter than original_length / this stay.
    original_length: tokens of the texts that it was first trained on.
  """

  factor: float
  low_freq_factor: float
  high_freq_factor: float
  original_length: int

  magnitude = 1.0

  def slowed(self, frequencies: np.ndarray, *, theta: float) -> np.ndarray:
    """The angles a position, radians."""
    del theta
    waves = self.original_length * frequencies / (2 * math.pi)
    low, high = self.low_freq_factor, self.high_freq_factor
    kept = np.clip((waves - low) / (high - low), 0.0, 1.0)
    return frequencies * (kept + (1.0 - kept) / self.factor)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Yarn:
  """Angles divided by `factor` where a wave turns seldom (arXiv 2309.00071).

  Attributes:
    factor: divisor of waves with fewer than `beta_slow` turns.
    original_length: tokens in which turns are counted.
    beta_fast: waves with more turns stay.
    beta_slow: see `factor`.
    magnitude: of the turned vectors, both queries and keys.
  """

  factor: float
  original_length: int
  beta_fast: float
  beta_slow: float
  magnitude: float

  def slowed(self, frequencies: np.ndarray, *, theta: float) -> np.ndarray:
    """The angles a position, radians."""
    pairs = len(frequencies)

    def pair(turns: float) -> float:
      wave = self.original_length / (turns * 2 * math.pi)
      return pairs * math.log(wave) / math.log(theta)

    first = max(math.floor(pair(self.beta_fast)), 0)
    last = min(math.ceil(pair(self.beta_slow)), 2 * pairs - 1)
    # The published code's way out of a ramp of no width.
    width = last - first or 0.001
    slow = np.clip((np.arange(pairs) - first) / width, 0.0, 1.0)
    return frequencies * (1.0 - slow + slow / self.factor)


Scaling = Linear | Llama3 | Yarn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotary:
  """The angles of one kind of layer.

  Attributes:
    theta: base of the angles, above 1.
    scaling: None for the angles that the model was first trained with.
  """

  theta: float
  scaling: Scaling | None = None

  def angles(self, head_dim: int) -> np.ndarray:
    """Radians a position of each of the head_dim / 2 pairs, float32."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
    angles = self.theta**-exponents
    if self.scaling is not None:
      angles = self.scaling.slowed(angles, theta=self.theta)
    return angles.astype(np.float32)

  def turn(
    self, x: Float[Array, "b t h d"], positions: Int[Array, "b t"]
  ) -> Float[Array, "b t h d"]:
    """Turns every head by its position's angles."""
    angles = positions[..., None, None] * self.angles(x.shape[-1])
    size = 1.0 if self.scaling is None else self.scaling.magnitude
    cos, sin = jnp.cos(angles) * size, jnp.sin(angles) * size
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate(
      [first * cos - second * sin, second * cos + first * sin], axis=-1
    )
