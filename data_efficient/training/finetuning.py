# SPDX-License-Identifier: Apache-2.0
"""A run that starts from a checkpoint, with T5's settings for fine-tuning."""

import dataclasses
from typing import Any

from data_efficient.models import checkpoints, networks
from data_efficient.training import optimizers
from data_efficient.training.run import Run


def finetuning(
  *,
  run: Run,
  checkpoint: str,
  dropout_rate: float,
  schedule: optimizers.Schedule,
) -> Run:
  """`run`, from a checkpoint's parameters.

  Its steps count from 0 and its optimizer starts afresh; T5X's `step_offset`
  does the same to an optimizer that it restores.

  Args:
    run: what is trained on, for how long, and the rest.
    checkpoint: in any format of `checkpoints.load_parameters`: of either
      engine (a run's directory will do), or Hugging Face's.
    dropout_rate: instead of the network's; T5 fine-tunes with 0.1.
    schedule: instead of the run's; T5 fine-tunes at a constant 0.001.
  """
  return dataclasses.replace(
    run,
    network=dataclasses.replace(run.network, dropout_rate=dropout_rate),
    schedule=schedule,
    initial_checkpoint=checkpoint,
  )


def initial_parameters(run: Run, *, shardings: Any) -> networks.Parameters:
  """The parameters that a run with an initial checkpoint starts from.

  Raises:
    CheckpointError: it is not there, or not of the run's network.
  """
  return checkpoints.load_parameters(
    run.initial_checkpoint, config=run.network, shardings=shardings
  )
