# SPDX-License-Identifier: Apache-2.0
"""What T5X measured, as rows of a run's metrics; imports nothing of T5X."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_efficient.training import metrics
from data_efficient.training.run import Run


class Log:
  """RUN/metrics.jsonl, in the rows of the local engine."""

  def __init__(self, run: Run, *, start: int):
    """Opens the log of a run that continues at step `start`."""
    self._run = run
    self._log = metrics.MetricsLog(run.directory, step=start)
    rows = list(_counted(run, start))
    self._tokens = max((row["tokens"] for row in rows), default=0)
    self._seconds = max((row["seconds"] for row in rows), default=0.0)

  def trained(self, step: int, label: str, values: dict[str, Any]) -> None:
    """A row of the steps since the last one, up to `step`.

    Raises:
      FloatingPointError: the loss stopped being finite.
    """
    del label
    loss = float(values["token_loss"])
    if not np.isfinite(loss):
      raise FloatingPointError(
        f"{self._run.directory}: the loss is {loss} at step {step}; lower the"
        " learning rate; the last checkpoint is from before this step"
      )
    self._tokens += int(values["tokens"])
    self._seconds += float(values["timing/seconds"])
    self._log.write(
      step,
      loss=loss,
      learning_rate=float(self._run.schedule(step - 1)),
      tokens=self._tokens,
      seconds=round(self._seconds, 3),
    )

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
