# SPDX-License-Identifier: Apache-2.0
"""The work of one training run: its FLOPs, and its step, to be timed."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from data_efficient.models import (
  decoder_only,
  flops,
  networks,
  partitioning,
)
from data_efficient.training import optimizers, step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
  """One run.

  Attributes:
    network: what is trained; its `remat` counts.
    steps: optimizer steps.
    batch: sequences a step.
    inputs: tokens of a sequence's inputs.
    targets: tokens of its targets.
    microbatches: parts of a batch that are computed one after the other.
  """

  network: networks.Network
  steps: int
  batch: int
  inputs: int
  targets: int
  microbatches: int = 1

  def __post_init__(self):
    """Raises ValueError for numbers that make no run."""
    if min(self.steps, self.batch, self.inputs, self.targets) < 1:
      raise ValueError(f"{self}: each number must be at least 1")
    if self.batch % self.microbatches:
      raise ValueError(
        f"batch = {self.batch} does not divide into {self.microbatches}"
        " microbatches"
      )

  @property
  def tokens(self) -> int:
    """Of all inputs: what the paper counts (524B = 1M × 1,024 × 512)."""
    return self.steps * self.batch * self.inputs

  @property
  def flops_of_a_row(self) -> flops.Training:
    """Of one sequence in one step."""
    return flops.training(self.network, source=self.inputs, target=self.targets)

  @property
  def flops(self) -> flops.Training:
    """Of the whole run."""
    each = self.flops_of_a_row
    rows = float(self.steps) * self.batch
    return flops.Training(rows * each.model, rows * each.executed)


_SCHEDULE = optimizers.rsqrt(base=1.0, warmup_steps=10_000)


def batch_shapes(training: Training) -> dict[str, tuple[int, int]]:
  """Feature to [rows, tokens] of one batch."""
  of_encoder, of_decoder = training.inputs, training.targets
  if isinstance(training.network, decoder_only.DecoderOnlyConfig):
    of_decoder = training.inputs + training.targets
  return {
    name: (
      training.batch,
      of_encoder if name.startswith("encoder") else of_decoder,
    )
    for name in (*training.network.required, "decoder_loss_weights")
  }


def state(training: Training) -> Any:
  """What the step carries: a function that makes it, random."""
  return functools.partial(
    step.initial_state,
    training.network,
    optimizers.adafactor(_SCHEDULE),
    jax.random.key(0),
  )


def shardings(training: Training, mesh: jax.sharding.Mesh) -> step.State:
  """Where the state lives on a mesh."""
  return step.state_shardings(
    training.network, optimizers.adafactor(_SCHEDULE), mesh
  )


def jitted(training: Training, mesh: jax.sharding.Mesh) -> Any:
  """The train step as the local engine jits it."""
  placed = shardings(training, mesh)
  return jax.jit(
    functools.partial(
      step.train_step,
      network=training.network,
      optimizer=optimizers.adafactor(_SCHEDULE),
      z_loss=1e-4,
      seed=0,
      microbatches=training.microbatches,
    ),
    in_shardings=(placed, partitioning.batch_sharding(mesh)),
    out_shardings=(placed, partitioning.replicated(mesh)),
    donate_argnums=0,
  )


def random_batch(training: Training, seed: int) -> dict[str, np.ndarray]:
  """Random tokens without padding."""
  draw = np.random.default_rng(seed)
  size = training.network.vocab_size
  found = {
    name: draw.integers(1, size, shape).astype(np.int32)
    for name, shape in batch_shapes(training).items()
  }
  weights = found["decoder_loss_weights"]
  return found | {"decoder_loss_weights": np.ones_like(weights)}
