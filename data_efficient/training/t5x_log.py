# SPDX-License-Identifier: Apache-2.0
"""What T5X measured, as rows of a run's metrics; imports nothing of T5X."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_efficient.training import metrics
from data_efficient.training.loop import DivergedError
from data_efficient.training.run import Run


class Log:
  """RUN/metrics.jsonl, in the rows of the local engine.

  `seconds` are those of T5X's train loop, waiting for data included, without
  compilation, evaluations and checkpoints: what `Local.train` counts.
  """

  def __init__(self, run: Run, *, start: int):
    """Opens the log of a run that continues at step `start`."""
    self._run = run
    self._log = metrics.MetricsLog(run.directory, step=start)
    rows = list(_counted(run, start))
    self._tokens = max((row["tokens"] for row in rows), default=0)
    self._seconds = max((row["seconds"] for row in rows), default=0.0)
    self._once: dict[str, float] = {}

  def compiled(self, seconds: float) -> None:
    """Keeps the train step's compile time for the next row of training."""
    self._once = {"compile_seconds": round(seconds, 3)}

  def trained(self, step: int, label: str, values: dict[str, Any]) -> None:
    """A row of the steps since the last one, up to `step`.

    Raises:
      DivergedError: the loss is no longer a finite number.
    """
    del label
    loss = float(values["token_loss"])
    if not np.isfinite(loss):
      raise DivergedError(
        f"{self._run.directory}: the loss is {loss} at step {step}: lower the"
        " learning rate, and train in another directory"
      )
    self._tokens += int(values["tokens"])
    self._seconds += float(values["timing/seconds"])
    self._log.write(
      step,
      loss=loss,
      learning_rate=float(self._run.schedule(step - 1)),
      tokens=self._tokens,
      seconds=round(self._seconds, 3),
      **self._once,
    )
    self._once = {}

  def evaluated(self, step: int, label: str, values: dict[str, Any]) -> None:
    """A row of one evaluation set, unless a restart repeats it."""
    if (step, label) in self._log.seen:
      return
    self._log.write(
      step,
      evaluation=label,
      loss=float(values["token_loss"]),
      accuracy=float(values["accuracy"]),
      tokens=self._tokens,
    )

  def close(self) -> None:
    """Flushes the log."""
    self._log.close()


def _counted(run: Run, start: int) -> Iterator[dict[str, Any]]:
  """Earlier rows that count tokens and seconds up to step `start`."""
  for row in metrics.read(run.directory):
    if row["step"] <= start and "seconds" in row:
      yield row
