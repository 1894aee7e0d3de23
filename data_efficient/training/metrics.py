# SPDX-License-Identifier: Apache-2.0
"""A run's metrics: `metrics.jsonl` for reports, TensorBoard for people."""

import json
import os
import pathlib

from clu import metric_writers

from data_efficient.data import artifacts


class MetricsLog:
  """Appends rows to RUN/metrics.jsonl and writes TensorBoard events.

  Opened at a step, it first drops the rows of later steps: an interrupted run
  repeats the steps after its last checkpoint, and must not count them twice.
  """

  def __init__(self, directory: str, *, step: int):
    """Opens the log of a run that continues at `step`."""
    self._path = pathlib.Path(directory) / "metrics.jsonl"
    self._path.parent.mkdir(parents=True, exist_ok=True)
    kept = [row for row in read(directory) if row["step"] <= step and step]
    text = "".join(json.dumps(row) + "\n" for row in kept)
    artifacts.atomic_write(self._path, text.encode())
    self._file = self._path.open("a", encoding="utf-8")
    self._writer = metric_writers.SummaryWriter(directory)
    self.seen = {(row["step"], row.get("evaluation")) for row in kept}

  def write(self, step: int, *, evaluation: str | None = None, **values):
    """One row; `evaluation` names the evaluation set it belongs to."""
    label = {} if evaluation is None else {"evaluation": evaluation}
    row = {"step": step, **label, **values}
    self._file.write(json.dumps(row) + "\n")
    self._file.flush()
    prefix = f"{evaluation}/" if evaluation else "train/"
    self._writer.write_scalars(
      step, {prefix + name: value for name, value in values.items()}
    )

  def close(self) -> None:
    """Flushes both."""
    self._file.close()
    self._writer.close()


class Silence:
  """The log of all processes of a run but the first."""

  def write(self, step: int, **values) -> None:
    """Writes nothing."""

  def close(self) -> None:
    """Closes nothing."""


def read(directory: str | os.PathLike[str]) -> list[dict]:
  """All whole rows of a run's metrics; a torn last line is left out."""
  path = pathlib.Path(directory) / "metrics.jsonl"
  if not path.exists():
    return []
  rows = []
  for line in path.read_text(encoding="utf-8").splitlines():
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      break
  return rows
