# SPDX-License-Identifier: Apache-2.0
"""What one training run computes; either engine trains the same `Run`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from data_efficient.models import adapters, networks
from data_efficient.training import optimizers


class RunError(ValueError):
  """A run whose parts do not fit together."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """A network, its data and how long it trains.

  Attributes:
    directory: where checkpoints, metrics and the configuration go.
    network: what is trained; T5X trains T5 1.1 alone.
    task: name of the registered seqio task.
    evaluation_tasks: label ("hq", "in_distribution") to task name.
    task_feature_lengths: {"inputs": tokens, "targets": tokens}.
    batch_size: sequences a step, over all devices.
    steps: optimizer steps.
    evaluation_period: steps between evaluations; step 0 and the last one are
      always evaluated.
    evaluation_batches: batches an evaluation, always the same ones.
    checkpoint_period: steps between checkpoints; the last step has one.
    seed: of initialisation, shuffling and masks.
    schedule: learning rate by step.
    z_loss: coefficient of (log Z)², T5 uses 1e-4.
    text_share: tokens of text in a token of inputs and targets; the others
      are sentinels and ends.
    measured_on: JSON-able; what the evaluations of two runs must share to be
      compared: fingerprints of corpus, vocabulary and evaluation sets, the
      corruption.
    initial_checkpoint: whose parameters the run starts from, in any format of
      `checkpoints.load_parameters`; None for random ones.
    keep_period: steps between checkpoints that stay, a multiple of
      `checkpoint_period`; None: the last two stay alone, which always do.
    adapter: what is trained in place of the parameters, which stay those of
      `initial_checkpoint`; None to train them.
    optimizer: its function of the schedule.
  """

  directory: str
  network: networks.Network
  task: str
  evaluation_tasks: Mapping[str, str]
  task_feature_lengths: Mapping[str, int]
  batch_size: int
  steps: int
  evaluation_period: int
  evaluation_batches: int
  checkpoint_period: int
  seed: int
  schedule: optimizers.Schedule
  z_loss: float
  text_share: float = 1.0
  measured_on: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  initial_checkpoint: str | None = None
  keep_period: int | None = None
  adapter: adapters.Lora | None = None
  optimizer: optimizers.Optimizer = optimizers.adafactor

  def __post_init__(self):
    """Raises RunError for a checkpoint never written, an adapter of nothing."""
    if self.adapter is not None and self.initial_checkpoint is None:
      raise RunError(
        f"{self.directory}: an adapter is trained on a network that was trained"
        " before: name it, INITIAL_CHECKPOINT (gin/runs/finetune_lora.gin)"
      )
    period = self.keep_period
    if period is not None and (period < 1 or period % self.checkpoint_period):
      raise RunError(
        f"{self.directory}: keep_period = {period}, expected a multiple of"
        f" checkpoint_period = {self.checkpoint_period}: what is kept must be"
        " written first"
      )


@runtime_checkable
class Engine(Protocol):
  """Something that can train a `Run`."""

  name: str

  def train(self, run: Run) -> None:
    """Trains to `run.steps`, from the last checkpoint if there is one."""
