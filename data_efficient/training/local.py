# SPDX-License-Identifier: Apache-2.0
"""The local engine: JAX SPMD over a mesh, Optax, Orbax, CLU.

One process on CPU, GPU or TPU. The same network and tasks train under T5X
(`training/t5x.py`); this engine installs from PyPI alone.
"""

import dataclasses
import functools
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from data_efficient import progress
from data_efficient.kernels import likelihood
from data_efficient.models import partitioning
from data_efficient.training import batches, metrics, optimizers, step
from data_efficient.training.run import Run


class DivergedError(ValueError):
  """The loss is no longer a finite number."""


class _Functions(NamedTuple):
  """The jitted functions of one run."""

  initial: Any
  train: Any
  evaluate: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Local:
  """Trains on the devices of this process.

  Attributes:
    model_parallel: devices that share one copy of the model; the rest of the
      devices split the batch.
    log_period: steps between rows of training metrics.
  """

  model_parallel: int
  log_period: int
  name: str = "local"

  def train(self, run: Run) -> None:
    """Trains `run`, from its last checkpoint if there is one.

    Leaves RUN/checkpoints (Orbax, by step) and RUN/metrics.jsonl.
    """
    mesh = partitioning.mesh(model_parallel=self.model_parallel)
    functions = _functions(run, mesh)
    with partitioning.activate(mesh), _checkpoints(run) as checkpoints:
      state = _restored(checkpoints, functions.initial)
      start = int(state.step)
      if start < run.steps:
        log = metrics.MetricsLog(run.directory, step=start)
        _Loop(run, functions, checkpoints, log, self.log_period).go(state)
        log.close()


def _functions(run: Run, mesh) -> _Functions:
  optimizer = optimizers.adafactor(run.schedule)
  initial = functools.partial(
    step.initial_state, run.network, optimizer, jax.random.key(run.seed)
  )
  shardings = step.state_shardings(run.network, optimizer, mesh)
  rows = partitioning.batch_sharding(mesh)
  return _Functions(
    initial=jax.jit(initial, out_shardings=shardings),
    train=jax.jit(
      functools.partial(
        step.train_step,
        network=run.network,
        optimizer=optimizer,
        z_loss=run.z_loss,
        seed=run.seed,
      ),
      in_shardings=(shardings, rows),
      out_shardings=(shardings, None),
      donate_argnums=0,
    ),
    evaluate=jax.jit(
      functools.partial(step.evaluation_step, network=run.network),
      in_shardings=(shardings.parameters, rows),
    ),
  )


def _checkpoints(run: Run) -> ocp.CheckpointManager:
  return ocp.CheckpointManager(
    pathlib.Path(run.directory, "checkpoints").absolute(),
    options=ocp.CheckpointManagerOptions(
      save_interval_steps=run.checkpoint_period,
      max_to_keep=2,
      enable_async_checkpointing=False,
    ),
  )


def _restored(checkpoints: ocp.CheckpointManager, initial) -> step.State:
  state = initial()
  if checkpoints.latest_step() is None:
    return state
  return checkpoints.restore(
    checkpoints.latest_step(), args=ocp.args.StandardRestore(state)
  )


class _Loop:
  """Steps, evaluations and checkpoints of one run, in their order."""

  def __init__(self, run, functions, checkpoints, log, log_period):
    self._run = run
    self._functions = functions
    self._checkpoints = checkpoints
    self._log = log
    self._log_period = log_period
    self._evaluation = batches.evaluation(run)
    self._tokens = 0
    self._seconds = 0.0

  def go(self, state: step.State) -> None:
    run, start = self._run, int(state.step)
    self._resume_counts(start)
    self._evaluate(state, start)
    data = batches.training(run, start=start)
    label = f"train {pathlib.Path(run.directory).name}"
    with progress.bar(label, total=run.steps, done=start) as advance:
      for number in range(start + 1, run.steps + 1):
        state = self._train(state, next(data), number)
        last = number == run.steps
        if last or number % run.evaluation_period == 0:
          self._evaluate(state, number)
        self._checkpoints.save(
          number, args=ocp.args.StandardSave(state), force=last
        )
        advance(1)

  def _resume_counts(self, start: int) -> None:
    rows = [row for row in metrics.read(self._run.directory) if "tokens" in row]
    rows = [row for row in rows if row["step"] <= start]
    self._tokens = max((row["tokens"] for row in rows), default=0)
    self._seconds = max((row.get("seconds", 0.0) for row in rows), default=0.0)

  def _train(self, state, batch, number: int) -> step.State:
    began = time.perf_counter()
    state, measured = self._functions.train(state, batch)
    loss = float(measured.loss)
    self._seconds += time.perf_counter() - began
    self._tokens += _tokens(batch)
    if not np.isfinite(loss):
      raise DivergedError(
        f"{self._run.directory}: the loss is {loss} at step {number}: lower "
        "the learning rate, and train in another directory"
      )
    # At every checkpoint too: a resumed run takes its counts from the log.
    periods = (self._log_period, self._run.checkpoint_period, self._run.steps)
    if any(number % period == 0 for period in periods):
      self._log.write(
        number,
        loss=loss,
        learning_rate=float(self._run.schedule(number - 1)),
        tokens=self._tokens,
        seconds=round(self._seconds, 3),
      )
    return state

  def _evaluate(self, state, number: int) -> None:
    for label, fixed in self._evaluation.items():
      if (number, label) in self._log.seen:
        continue
      sums = likelihood.empty()
      for batch in fixed:
        sums = likelihood.merge(
          sums, self._functions.evaluate(state.parameters, batch)
        )
      means = likelihood.means(sums)
      self._log.write(
        number,
        evaluation=label,
        loss=float(means.loss),
        accuracy=float(means.accuracy),
        tokens=self._tokens,
      )


def _tokens(batch: batches.Batch) -> int:
  names = ("encoder_input_tokens", "decoder_target_tokens")
  return sum(int(np.count_nonzero(batch[name])) for name in names)
