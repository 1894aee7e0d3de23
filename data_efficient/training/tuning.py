# SPDX-License-Identifier: Apache-2.0
"""Builds the `Run` of fine-tuning on tasks: T5's mixtures, instructions."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from data_efficient.models import networks, tokenizers
from data_efficient.training import optimizers, pretraining
from data_efficient.training.run import Run


@runtime_checkable
class Tasks(Protocol):
  """What a network is tuned on.

  `t5_tasks`, `instruction_tasks`, `instruction_file_tasks`.
  """

  def training(self, vocabulary: tokenizers.Tokenizer) -> str:
    """Registers what is trained on; returns its name."""

  def evaluations(self, vocabulary: tokenizers.Tokenizer) -> dict[str, str]:
    """Registers what is watched: label -> name."""

  def describe(self) -> dict[str, Any]:
    """JSON-able; what the losses of two runs must share to be compared."""


def tuning(
  *,
  directory: str,
  tasks: Tasks,
  vocabulary: tokenizers.Tokenizer,
  network: networks.Network,
  task_feature_lengths: Mapping[str, int],
  batch_size: int,
  steps: int,
  seed: int,
  schedule: optimizers.Schedule,
  z_loss: float,
  evaluation_period: int,
  evaluation_batches: int,
  checkpoint_period: int,
  initial_checkpoint: str | None = None,
  optimizer: optimizers.Optimizer = optimizers.adafactor,
) -> Run:
  """A run on tasks.

  Args:
    directory: of the run.
    tasks: what is trained on and watched.
    vocabulary: of the checkpoint.
    network: of the checkpoint.
    task_feature_lengths: {"inputs": tokens, "targets": tokens}; what is longer
      is cut, as T5 does.
    batch_size: examples a step.
    steps: optimizer steps.
    seed: of the run.
    schedule: learning rate by step.
    z_loss: coefficient of (log Z)².
    evaluation_period: steps between evaluations.
    evaluation_batches: batches an evaluation, at most.
    checkpoint_period: steps between checkpoints.
    initial_checkpoint: whose parameters the run starts from; None for random
      ones, or where `finetuning.finetuning` names it.
    optimizer: its function of the schedule.

  Raises:
    ValueError: the network's vocabulary is too small, or tasks that there are
      not.
  """
  pretraining.check_vocabulary(network, vocabulary)
  return Run(
    directory=directory,
    network=network,
    task=tasks.training(vocabulary),
    evaluation_tasks=tasks.evaluations(vocabulary),
    task_feature_lengths=task_feature_lengths,
    batch_size=batch_size,
    steps=steps,
    evaluation_period=evaluation_period,
    evaluation_batches=evaluation_batches,
    checkpoint_period=checkpoint_period,
    seed=seed,
    schedule=schedule,
    z_loss=z_loss,
    measured_on={"vocabulary": vocabulary.fingerprint, **tasks.describe()},
    initial_checkpoint=initial_checkpoint,
    optimizer=optimizer,
  )


def facts(*, tuned_on: str, checkpoint: str | None) -> dict[str, Any]:
  """What tables say of a tuned run."""
  return {"tuned_on": tuned_on, "initial_checkpoint": checkpoint}
