# SPDX-License-Identifier: Apache-2.0
"""A run that starts from a checkpoint: all its parameters, or an adapter."""

import dataclasses
import pathlib
from typing import Any

import jax

from data_efficient import processes
from data_efficient.data import artifacts
from data_efficient.models import (
  adapter_files,
  adapters,
  checkpoints,
  fingerprints,
  networks,
  partitioning,
)
from data_efficient.training import optimizers
from data_efficient.training.run import Run, RunError


def finetuning(
  *,
  run: Run,
  checkpoint: str,
  dropout_rate: float | None,
  schedule: optimizers.Schedule,
  optimizer: optimizers.Optimizer = optimizers.adafactor,
  adapter: adapters.Lora | None = None,
) -> Run:
  """`run`, from a checkpoint's parameters.

  Its steps count from 0 and its optimizer starts afresh; T5X's `step_offset`
  does the same to an optimizer that it restores.

  Args:
    run: what is trained on, for how long, and the rest.
    checkpoint: in any format of `checkpoints.load_parameters`: of either
      engine (a run's directory will do), or Hugging Face's.
    dropout_rate: instead of the network's; T5 fine-tunes with 0.1. None for
      the network's own.
    schedule: instead of the run's; T5 fine-tunes at a constant 0.001.
    optimizer: instead of the run's.
    adapter: what is trained; None for all parameters.

  Raises:
    RunError: a dropout rate for a network that has no dropout.
  """
  return dataclasses.replace(
    run,
    network=_dropping(run.network, dropout_rate),
    schedule=schedule,
    initial_checkpoint=checkpoint,
    optimizer=optimizer,
    adapter=adapter,
  )


def _dropping(
  network: networks.Network, rate: float | None
) -> networks.Network:
  if rate is None or rate == network.dropout_rate:
    return network
  if "dropout_rate" not in {each.name for each in dataclasses.fields(network)}:
    raise RunError(
      f"dropout_rate = {rate}, but {type(network).__name__} has no dropout:"
      " bind finetuning.finetuning.dropout_rate = None"
    )
  return dataclasses.replace(network, dropout_rate=rate)


def initial_parameters(run: Run, *, shardings: Any) -> networks.Parameters:
  """The parameters that a run with an initial checkpoint starts from.

  Raises:
    CheckpointError: it is not there, or not of the run's network.
  """
  return checkpoints.load_parameters(
    run.initial_checkpoint, config=run.network, shardings=shardings
  )


def check_kind(run: Run) -> None:
  """Refuses to go on in the directory of a run of another kind.

  Raises:
    RunError: one trained all parameters there, the other trains an adapter; or
      two different adapters.
  """
  kept, found = pathlib.Path(run.directory, adapter_files.NAME), None
  if kept.is_file():
    found = adapter_files.read(kept).lora
  elif checkpoints.latest_step(kept.parent / "checkpoints") is None:
    return
  if found != run.adapter:
    raise RunError(
      f"{run.directory}: the run there trained {found or 'all parameters'},"
      f" this one trains {run.adapter or 'all parameters'}: train in another"
      " directory, or remove this one"
    )


def base(run: Run, mesh: jax.sharding.Mesh) -> networks.Parameters:
  """The network that the run's adapter is trained on; nothing changes it.

  Kernels are kept as the products round them (`networks.operand_dtypes`), which
  makes no difference to these. Leaves RUN/adapter.json.

  Raises:
    CheckpointError: it is not there, not of the run's network, or another than
      the run began with.
  """
  parameters = checkpoints.load_parameters(
    run.initial_checkpoint,
    config=run.network,
    shardings=partitioning.parameter_shardings(run.network, mesh),
    dtypes=networks.operand_dtypes(run.network),
  )
  place = str(pathlib.Path(run.initial_checkpoint).absolute())
  found = adapter_files.Base(place, fingerprints.fingerprint(parameters))
  path = pathlib.Path(run.directory, adapter_files.NAME)
  if path.is_file():
    kept = adapter_files.read(path)
    adapter_files.check_base(kept, found, where=run.directory)
  elif processes.is_first():
    path.parent.mkdir(parents=True, exist_ok=True)
    record = adapter_files.Record(run.adapter, found)
    artifacts.atomic_write(path, record.encoded())
  return parameters
