# SPDX-License-Identifier: Apache-2.0
"""The gradients of target tasks, which a record's are compared with (LESS)."""

import enum
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from data_efficient import progress
from data_efficient.kernels import gradient_features
from data_efficient.scorers import answer_rows, less_gradients, warmups
from data_efficient.scorers.templates import Instruction


class LessError(ValueError):
  """Targets that no gradient can be taken of."""


class Subtask(enum.StrEnum):
  """What the records of a task come to.

  MEAN_GRADIENT is the cosine to the mean of their gradients, as the paper has
  it; MEAN_COSINE the mean of the cosines to each, as its code has it.
  """

  MEAN_GRADIENT = "mean_gradient"
  MEAN_COSINE = "mean_cosine"


@runtime_checkable
class Targets(Protocol):
  """Records of the tasks that a model is to be good at: a few of each."""

  @property
  def records(self) -> list[Instruction]:
    """All records."""

  @property
  def tasks(self) -> list[str]:
    """The task of each record."""

  def identity(self) -> dict[str, Any]:
    """What they are made of, JSON-able."""


def tasks(targets: Targets) -> list[str]:
  """The names of the tasks, in the order of their numbers."""
  return sorted(set(targets.tasks))


def directions(
  targets: Targets,
  gradients: less_gradients.Gradients,
  checkpoints: Sequence[warmups.Checkpoint],
  *,
  subtask: Subtask,
  name: str,
) -> Float[np.ndarray, "c m d"]:
  """Of each checkpoint and task, what products of unit features are taken with.

  Args:
    targets: of the tasks.
    gradients: how they are taken.
    checkpoints: of the warm-up.
    subtask: what the records of a task come to.
    name: of the scorer, for its bar.

  Raises:
    LessError: no targets, or a task none of whose records can be used, or
      whose gradients are none.
  """
  names, of = tasks(targets), targets.tasks
  rows = [gradients.rows.row(record) for record in targets.records]
  usable = [n for n, row in enumerate(rows) if row.reason is None]
  numbers = {task: number for number, task in enumerate(names)}
  own = np.array([numbers[of[n]] for n in usable], int)
  _check(rows, own, names, gradients.rows.max_tokens)
  items, batches = gradients.batches([rows[n] for n in usable])
  sums = np.zeros((len(checkpoints), len(names), gradients.dimensions))
  total = len(checkpoints) * len(batches)
  with progress.bar(f"{name}: targets", total=total) as advance:
    for batch, members in zip(batches, items, strict=True):
      placed = gradients.placed(batch)
      for at, checkpoint in enumerate(checkpoints):
        found = gradients.of(checkpoint, placed, adam=False)
        if subtask == Subtask.MEAN_COSINE:
          found = gradient_features.unit(found)
        values = np.asarray(found, np.float64)[: len(members)]
        np.add.at(sums[at], own[members], values)
        advance(1)
  means = sums / np.bincount(own)[None, :, None]
  return _checked(_directed(means, subtask), names)


def _directed(means: np.ndarray, subtask: Subtask) -> np.ndarray:
  if subtask == Subtask.MEAN_COSINE:
    return means
  with np.errstate(invalid="ignore"):
    return means / np.linalg.norm(means, axis=2, keepdims=True)


def _checked(
  found: np.ndarray, names: Sequence[str]
) -> Float[np.ndarray, "c m d"]:
  bad = np.flatnonzero(~np.isfinite(found).all(axis=(0, 2)))
  if len(bad):
    raise LessError(
      f"target tasks {[names[n] for n in bad]}: the gradients of their records "
      "are zero or not finite: take other checkpoints of the warm-up"
    )
  return found.astype(np.float32)


def _check(
  rows: Sequence[answer_rows.Row],
  own: np.ndarray,
  names: Sequence[str],
  max_tokens: int,
) -> None:
  if not rows:
    raise LessError(
      "there are no target records, so that there is no task to be good at: "
      "name files of them in TARGETS"
    )
  missing = sorted(set(range(len(names))) - set(own.tolist()))
  if missing:
    reasons = sorted({row.reason for row in rows if row.reason})
    raise LessError(
      f"target tasks {[names[n] for n in missing]} have no record that can be "
      f"used ({', '.join(reasons)}): mend or remove them, or raise max_tokens "
      f"= {max_tokens}"
    )
