# SPDX-License-Identifier: Apache-2.0
"""Examples in context as they were chosen, step by step, on disk.

A step is two tables: what each candidate was worth, and how far each target is
from its answer with what is chosen since. The unit of resume is the step.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64, Int

from data_efficient.data import artifacts

KIND = "utility_set"


class Step(NamedTuple):
  """A step.

  Attributes:
    chosen: number of the example in the pool.
    worth: its mean gain.
    distances: of all targets with it in context; NaN without one.
    shown: for which of them the own answer stands in context.
  """

  chosen: int
  worth: float
  distances: Float32[np.ndarray, " n"]
  shown: Bool[np.ndarray, " n"]


class Writer:
  """Writes steps, and finds those of an earlier run.

  Args:
    directory: where they go.
    identity: what they are made from; another one is refused.

  Raises:
    ArtifactError: see `artifacts.Writer`.
  """

  def __init__(self, directory: artifacts.PathLike, identity: dict[str, Any]):
    self._writer = artifacts.Writer(directory, kind=KIND, identity=identity)

  @property
  def complete(self) -> bool:
    """Whether nothing is left to do."""
    return self._writer.complete

  def steps(self) -> list[Step]:
    """Those that are there."""
    return _steps(self._writer.manifest)

  def write_candidates(
    self,
    numbers: Int[np.ndarray, " c"],
    worth: Float64[np.ndarray, " c"],
    statuses: Sequence[str],
  ) -> None:
    """Writes what the candidates of the next step are worth."""
    part = f"candidates-{len(self.steps()):04d}.parquet"
    # A run that was stopped since may have left it, the same.
    if not self._writer.has(part):
      table = {"example": numbers, "worth": worth}
      table = pa.table({**table, "status": pa.array(statuses, pa.string())})
      self._writer.write_table(part, table)

  def write(self, step: Step) -> None:
    """Writes the next step."""
    self._writer.write_table(
      _part(len(self.steps())),
      pa.table({"distance": step.distances, "answer_shown": step.shown}),
      chosen=step.chosen,
      worth=step.worth,
    )

  def finish(self, **summary: Any) -> None:
    """Marks the set as complete, with some figures."""
    self._writer.finish(**summary)

  def close(self) -> None:
    """Gives the directory free for another writer."""
    self._writer.close()

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, *unused: object) -> None:
    self.close()


def read(
  directory: artifacts.PathLike,
) -> tuple[list[Step], dict[str, Any]]:
  """Reads the steps and the summary of a set that is complete.

  Raises:
    ArtifactError: none is there, or it is unfinished or damaged.
  """
  manifest = artifacts.read_manifest(directory, kind=KIND)
  return _steps(manifest), manifest.summary


def _steps(manifest: artifacts.Manifest) -> list[Step]:
  found: list[Step] = []
  while (part := _part(len(found))) in manifest.parts:
    facts, table = manifest.parts[part], manifest.read_table(part)
    found.append(
      Step(
        facts["chosen"],
        facts["worth"],
        table["distance"].to_numpy(),
        table["answer_shown"].to_numpy(),
      )
    )
  return found


def _part(number: int) -> str:
  return f"step-{number:04d}.parquet"
