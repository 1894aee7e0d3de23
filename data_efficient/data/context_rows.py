# SPDX-License-Identifier: Apache-2.0
"""Rows with examples of the query's task before it, drawn anew each time."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_efficient import progress
from data_efficient.data import (
  in_context,
  instruction_overlap,
  instruction_rows,
)
from data_efficient.scorers.templates import Instruction

# A stream of a seed's random numbers; `instruction_rows` has another.
_EXAMPLES = 1
# Drawn besides k examples: some may be copies of the query.
_SPARE = 8


class Shots(NamedTuple):
  """Examples in context.

  Attributes:
    counts: how many; one of these, drawn for every row. Fewer where the task
      has fewer or the window has no room.
    tokens: of an example, at most: longer ones are not shown.
    separator: text between two.
  """

  counts: Sequence[int]
  tokens: int
  separator: str


class InContext(instruction_rows.Ordered):
  """`Rows` of examples of one task, then a query of it and its answer.

  Args:
    records: all, those that do not fit included.
    tasks: of each record, its name.
    found: what fits without examples.
    encoder: as of `found`.
    shots: the examples.
    label: of the progress bar.

  Raises:
    RowsError: no record can be shown an example.
  """

  def __init__(
    self,
    records: Sequence[Instruction],
    tasks: Sequence[str],
    found: instruction_rows.Read,
    encoder: instruction_rows.Encoder,
    shots: Shots,
    *,
    label: str,
  ):
    self._shots, self._window = shots, encoder.window
    self._begin, self._end = encoder.begin, encoder.end
    self._separator = encoder.text(shots.separator) if shots.separator else []
    self._targets = found.targets
    kept = [records[number] for number in found.numbers]
    # An example with the query's own prompt, in any form, shows its answer.
    self._prompts = [instruction_overlap.prompt_key(r.prompt) for r in kept]
    self._tasks = [tasks[number] for number in found.numbers]
    each = progress.over(kept, f"tokenize examples, {label}", total=len(kept))
    parts = [
      (encoder.part("example", r), encoder.part("query", r)) for r in each
    ]
    self._examples = instruction_rows.Ragged(example for example, _ in parts)
    self._queries = instruction_rows.Ragged(query for _, query in parts)
    self._shown = self._groups()
    self._askable = [n for n in range(len(kept)) if self._can_be_asked(n)]
    if not self._askable:
      raise instruction_rows.RowsError(
        f"{label}: no record can be asked behind an example of its task: name"
        " TASK_FIELD, give tasks of two records and more with different"
        " prompts, raise EXAMPLE_TOKENS and MAX_TOKENS, or take 'in_context'"
        " out of SHARES"
      )
    super().__init__(len(self._askable))

  def _groups(self) -> dict[str, np.ndarray]:
    """Records of each task that are short enough to be shown."""
    groups = collections.defaultdict(list)
    for number, length in enumerate(self._examples.lengths):
      if length <= self._shots.tokens:
        groups[self._tasks[number]].append(number)
    return {task: np.array(numbers) for task, numbers in groups.items()}

  def _can_be_asked(self, number: int) -> bool:
    """Whether any example of its task fits before it."""
    group = self._shown.get(self._tasks[number], np.zeros(0, np.int64))
    others = any(self._prompts[n] != self._prompts[number] for n in group)
    return others and self._shots.tokens <= self._room(number)

  def _room(self, number: int) -> int:
    """Tokens that the examples before a query may have."""
    own = len(self._queries[number]) + len(self._begin) + len(self._end)
    return self._window.room(len(self._targets[number])) - own

  def draw(self, number: int, seed: int) -> instruction_rows.Row:
    """See `Rows`; the examples are drawn anew each time."""
    asked = self._askable[self.place(number, seed)]
    random = np.random.default_rng((seed, _EXAMPLES, number))
    drawn = self._candidates(asked, random)
    examples, _ = in_context.before_query(
      (self._examples[shown].tolist() for shown in drawn),
      separator=self._separator,
      room=self._room(asked),
    )
    inputs = [*self._begin, *examples, *self._queries[asked], *self._end]
    return instruction_rows.Row(
      np.array(inputs, np.int32), self._targets[asked]
    )

  def _candidates(self, asked: int, random: np.random.Generator) -> list[int]:
    """Examples of the query's task with other prompts than its own."""
    count = self._shots.counts[random.integers(len(self._shots.counts))]
    group = self._shown[self._tasks[asked]]
    size = min(len(group), count + _SPARE)
    drawn = group[random.choice(len(group), size, replace=False)]
    found = self._others(asked, drawn)
    # Copies of the query may be all that was drawn of a task.
    return (found or self._others(asked, group))[:count]

  def _others(self, asked: int, numbers: np.ndarray) -> list[int]:
    prompt = self._prompts[asked]
    return [int(n) for n in numbers if self._prompts[n] != prompt]
