# SPDX-License-Identifier: Apache-2.0
"""Examples in context, chosen one after the other: a part of `utility`.

The candidate that adds most beside those chosen before, again and again, until
there are enough or none adds anything.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from data_efficient import progress
from data_efficient.cli import cost
from data_efficient.data import utility_sets
from data_efficient.data.utility_blocks import Axis
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.scorers import interface, set_utility
from data_efficient.scorers.pair_tokens import Example, Target

KIND = utility_sets.KIND
ENOUGH, NO_GAIN = "enough examples", "no candidate adds anything"
NO_ROOM = "no candidate has room in the context: raise MAX_EXAMPLE_TOKENS"
NOBODY = "no candidate is left"


class Task(NamedTuple):
  """What examples are chosen from, and for what.

  Attributes:
    sets: how.
    context: puts them together.
    targets: tokens of all.
    examples: tokens of all.
    axes: of both.
    candidates: examples that can be chosen.
  """

  sets: set_utility.Sets
  context: set_utility.InContext
  targets: Sequence[Target]
  examples: Sequence[Example]
  axes: tuple[Axis, Axis]
  candidates: Int[np.ndarray, " c"]


class State(NamedTuple):
  """What is chosen so far.

  Attributes:
    chosen: numbers of the examples, in the order in which they were chosen.
    distances: of the targets from their answers, with these in context.
    shown: for which targets the own answer is among them.
  """

  chosen: tuple[int, ...]
  distances: Float32[np.ndarray, " n"]
  shown: Bool[np.ndarray, " n"]


def choose(task: Task, *, identity: dict[str, Any], output: str) -> None:
  """Chooses, writes and prints; goes on where an earlier run was stopped.

  Args:
    task: what is chosen from.
    identity: of the set.
    output: its directory.

  Raises:
    ArtifactError: another set lies there.
    ValueError: no target has a finite distance.
  """
  with utility_sets.Writer(output, identity) as writer:
    if writer.complete:
      print(f"{output}: done before")
    else:
      with cost.measured(output):
        reason = _chosen(task, writer)
      steps = writer.steps()
      writer.finish(
        stopped=reason,
        order=[step.chosen for step in steps],
        worth=[step.worth for step in steps],
      )
  _report(task, output)


def shortlist(sets: set_utility.Sets, examples: Axis) -> Int[np.ndarray, " c"]:
  """The candidates, ascending: all, or what is worth most by a kernel.

  Raises:
    ArtifactError: no kernel, or a damaged one.
    ValueError: it has none of these examples.
  """
  scorable = np.flatnonzero(examples.scorable)
  if sets.kernel is None:
    return scorable
  kernel = UtilityKernel.open(sets.kernel)
  sums = np.zeros(kernel.shape[1])
  for block in kernel.blocks("clip" if sets.clip else "raw"):
    sums[block.examples] += block.values.sum(axis=0, dtype=np.float64)
  known: dict[int, float] = {}
  texts = kernel.examples.fingerprints.tolist()
  for text, value in zip(texts, sums.tolist(), strict=True):
    known.setdefault(text, value)
  mine = examples.fingerprints[scorable].tolist()
  values = np.array([known.get(text, -np.inf) for text in mine])
  order = np.argsort(-values, kind="stable")[: sets.shortlist]
  order = order[np.isfinite(values[order])]
  if not len(order):
    raise ValueError(
      f"{sets.kernel}: a kernel of none of these examples; bind another KERNEL"
    )
  return np.sort(scorable[order])


def kernel_identity(sets: set_utility.Sets) -> dict[str, Any]:
  """What the shortlist is made from."""
  if sets.kernel is None:
    return {}
  return {"kernel": UtilityKernel.open(sets.kernel).identity}


def _chosen(task: Task, writer: utility_sets.Writer) -> str:
  """Takes the steps that are missing; returns why there are no more."""
  alone = task.context.alone(task.targets)
  if not np.isfinite(alone).any():
    raise ValueError(
      "the model's log-probabilities are not finite for any target: its "
      "checkpoint is damaged, or not the one of its config.json"
    )
  state = State((), alone, np.zeros(len(alone), bool))
  for step in writer.steps():
    chosen = (*state.chosen, step.chosen)
    state = State(chosen, step.distances, step.shown)
  while len(state.chosen) < task.sets.count:
    numbers = _left(task, state)
    if not len(numbers):
      return NOBODY
    found = _gains(task, state, numbers)
    scored = np.array([s == interface.SCORED for s in found.statuses])
    if not scored.any():
      return NO_ROOM
    shown = state.shown[:, None] | _copies(task, numbers)
    values = set_utility.worth(
      found.values,
      shown=shown,
      scorable=np.isfinite(alone),
      clip=task.sets.clip,
    )
    values = np.where(scored, values, np.nan)
    writer.write_candidates(numbers, values, found.statuses)
    best = int(np.nanargmax(values))
    if values[best] <= 0:
      return NO_GAIN
    state = State(
      (*state.chosen, int(numbers[best])),
      state.distances - found.values[:, best],
      shown[:, best],
    )
    writer.write(
      utility_sets.Step(
        state.chosen[-1], float(values[best]), state.distances, state.shown
      )
    )
  return ENOUGH


def _left(task: Task, state: State) -> Int[np.ndarray, " c"]:
  """Candidates that are not chosen, nor copies of what is."""
  texts = task.axes[1].fingerprints
  taken = texts[np.array(state.chosen, np.int64)]
  return task.candidates[~np.isin(texts[task.candidates], taken)]


def _copies(
  task: Task, numbers: Int[np.ndarray, " c"]
) -> Bool[np.ndarray, "n c"]:
  """Which candidate is which target, or its copy."""
  rows, columns = (axis.fingerprints for axis in task.axes)
  return np.equal.outer(rows, columns[numbers])


def _gains(
  task: Task, state: State, numbers: Int[np.ndarray, " c"]
) -> set_utility.Gains:
  total = len(task.targets) * len(numbers)
  label = f"example {len(state.chosen) + 1} in context, pairs"
  with progress.bar(label, total=total) as advance:
    return task.context.gains(
      task.targets,
      [task.examples[number] for number in numbers.tolist()],
      chosen=[task.examples[number] for number in state.chosen],
      distances=state.distances,
      advance=advance,
    )


def _report(task: Task, output: str) -> None:
  steps, summary = utility_sets.read(output)
  files, positions = task.axes[1].files, task.axes[1].positions
  for number, step in enumerate(steps):
    left = np.nanmean(step.distances)
    print(
      f"{number + 1}. {files[step.chosen]}, row {positions[step.chosen]}: "
      f"+{step.worth:.5g}; mean distance {left:.5g}"
    )
  print(f"{output}: {len(steps)} examples chosen; {summary['stopped']}")
