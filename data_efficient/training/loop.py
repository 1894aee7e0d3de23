# SPDX-License-Identifier: Apache-2.0
"""The local engine's loop: steps, evaluations, checkpoints, and stopping."""

import collections
import contextlib
import itertools
import pathlib
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from data_efficient import interruption, processes, progress
from data_efficient.kernels import likelihood
from data_efficient.models import partitioning
from data_efficient.training import batches, step
from data_efficient.training.run import Run

# Steps that may be under way while the next batch is made.
_AHEAD = 2


class DivergedError(ValueError):
  """The loss is no longer a finite number."""


class Functions(NamedTuple):
  """The jitted functions of one run, and where their arrays live.

  Attributes:
    initial: makes a state.
    train: of a state, a batch and `base`.
    evaluate: of a state's parameters, a batch and `base`.
    shardings: of a state.
    rows: of a batch.
    base: parameters of the network whose adapter is trained, or None.
  """

  initial: Any
  train: Any
  evaluate: Any
  shardings: step.State
  rows: jax.sharding.NamedSharding
  base: Any = None


class Counts(NamedTuple):
  """What a run has done up to a step; kept in its checkpoints.

  Attributes:
    step: steps done.
    tokens: tokens that were not padding, of inputs and targets.
    seconds: see `Local.train`.
  """

  step: int
  tokens: int
  seconds: float


class _Dispatched(NamedTuple):
  """A step that the devices may still be busy with."""

  number: int
  tokens: int
  measured: step.StepMetrics


class Loop:
  """Trains one run from a step to its end, or until asked to stop."""

  def __init__(
    self,
    run: Run,
    functions: Functions,
    checkpoints: ocp.CheckpointManager,
    log: Any,
    *,
    log_period: int,
  ):
    """Of a run, what computes it, and where its results go."""
    self._run = run
    self._functions = functions
    self._checkpoints = checkpoints
    self._log = log
    self._log_period = log_period
    self._evaluation = batches.evaluation(run)
    self._dispatched: collections.deque[_Dispatched] = collections.deque()
    self._once: dict[str, float] = {}

  def go(self, state: step.State, counts: Counts) -> None:
    """Trains; see `Local.train`."""
    run = self._run
    self._counts, self._loss = counts, float("nan")
    if counts.step == 0:
      self._evaluate(state, 0)
    data = batches.training(run, start=counts.step)
    first = next(data)
    train = self._compiled(state, first)
    numbers = range(counts.step + 1, run.steps + 1)
    with self._progress() as advance, _stopping(self._checkpoints) as asked:
      self._began = time.perf_counter()
      for number, batch in zip(
        numbers, itertools.chain([first], data), strict=False
      ):
        placed = self._placed(batch)
        state, measured = train(state, placed, self._functions.base)
        tokens = batches.tokens(run.network, batch)
        self._dispatched.append(_Dispatched(number, tokens, measured))
        self._settle(_AHEAD)
        advance(1)
        stop = asked(number) if number < run.steps else None
        self._after(state, number, stop=stop is not None)
        if stop is not None:
          raise interruption.Interrupted(stop)

  def _after(self, state: step.State, number: int, *, stop: bool) -> None:
    """Row, evaluation and checkpoint, those that are due after a step."""
    last = number == self._run.steps
    logged = last or number % self._log_period == 0
    evaluated = last or number % self._run.evaluation_period == 0
    saved = stop or last or number % self._run.checkpoint_period == 0
    if not (logged or evaluated or saved):
      return
    self._settle(0)
    seconds = time.perf_counter() - self._began
    self._counts = self._counts._replace(seconds=self._counts.seconds + seconds)
    if logged:
      self._write_row(number)
    if evaluated:
      self._evaluate(state, number)
    if saved:
      self._save(state, number)
    self._began = time.perf_counter()

  def _settle(self, ahead: int) -> None:
    """Waits until at most so many steps are under way; looks at their loss."""
    while len(self._dispatched) > ahead:
      number, tokens, measured = self._dispatched.popleft()
      self._loss = float(measured.loss)
      if not np.isfinite(self._loss):
        raise DivergedError(
          f"{self._run.directory}: the loss is {self._loss} at step {number}:"
          " lower the learning rate, and train in another directory"
        )
      self._counts = self._counts._replace(
        step=number, tokens=self._counts.tokens + tokens
      )

  def _write_row(self, number: int) -> None:
    self._log.write(
      number,
      loss=self._loss,
      learning_rate=float(self._run.schedule(number - 1)),
      tokens=self._counts.tokens,
      seconds=round(self._counts.seconds, 3),
      **self._once,
    )
    self._once = {}

  def _save(self, state: step.State, number: int) -> None:
    self._checkpoints.save(
      number,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        counts=ocp.args.JsonSave(self._counts._asdict()),
      ),
      force=True,
    )

  def _evaluate(self, state: step.State, number: int) -> None:
    for label, fixed in self._evaluation.items():
      total = jax.device_get(likelihood.empty())
      for batch in fixed:
        sums = self._functions.evaluate(
          state.parameters, self._placed(batch), self._functions.base
        )
        # On the host: arrays of all processes do not mix with local ones.
        total = jax.tree.map(np.add, total, jax.device_get(sums))
      means = likelihood.means(total)
      self._log.write(
        number,
        evaluation=label,
        loss=float(means.loss),
        accuracy=float(means.accuracy),
        tokens=self._counts.tokens,
      )

  def _compiled(self, state: step.State, batch: batches.Batch) -> Any:
    began = time.perf_counter()
    arguments = (state, self._placed(batch), self._functions.base)
    train = self._functions.train.lower(*arguments).compile()
    seconds = time.perf_counter() - began
    self._once = {"compile_seconds": round(seconds, 3)}
    return train

  def _placed(self, batch: batches.Batch) -> dict[str, jax.Array]:
    rows = self._functions.rows
    return {
      name: partitioning.place(array, rows) for name, array in batch.items()
    }

  def _progress(self) -> Any:
    if not processes.is_first():
      return contextlib.nullcontext(lambda units: None)
    label = f"train {pathlib.Path(self._run.directory).name}"
    return progress.bar(label, total=self._run.steps, done=self._counts.step)


@contextlib.contextmanager
def _stopping(checkpoints: ocp.CheckpointManager) -> Iterator[Any]:
  """Yields `asked(step)`: the signal after which to stop now, or None.

  Several processes must agree on the step: JAX's preemption service, which
  Orbax asks, notices SIGTERM in any of them.
  """
  if jax.process_count() == 1:
    with interruption.noticed() as request:
      yield lambda number: request.signal
    return

  def agreed(number: int) -> int | None:
    reached = checkpoints.reached_preemption(number)
    return int(signal.SIGTERM) if reached else None

  with interruption.passed_on():
    yield agreed
