# SPDX-License-Identifier: Apache-2.0
"""LESS: how much a step on a record would lower the loss of target tasks.

  I(z, j) = Σ_i η_i cos(g_i(j), R Γ_i(z)),      score(z) = max_j I(z, j)

over the checkpoints i of a warm-up with LoRA (`warmups`), η_i the learning
rates before checkpoint i as a share of all, j the target tasks, Γ_i Adam's
direction for the mean loss of the record's answer, R a random projection
(`gradient_features`), and g_i(j) the projected plain gradients of the task's
records (Xia et al. 2024, arXiv 2402.04333, Section 3 and 4). Select from it
with `Top`.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from data_efficient.kernels import gradient_features
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  answer_rows,
  batching,
  interface,
  judges,
  less_gradients,
  less_targets,
  runner,
  warmups,
)
from data_efficient.scorers.templates import Instruction, Template
from data_efficient.scorers.working_files import (
  Columns,
  InMemory,
  WorkingFiles,
)

_PIECE = "targets"


class _Notes(NamedTuple):
  rows: list[answer_rows.Row]
  places: list[int]
  items: list[list[int]]


@dataclasses.dataclass(kw_only=True)
class Less:
  """Scores instructions by their influence on target tasks.

  The columns: "score", in [−1, 1]; "task", the number of the task that it is
  of, in the order of their names; "answer_tokens", the end included.

  Attributes:
    judge: the network below the adapter.
    tokenizer: the network's.
    template: of the texts; the one that the warm-up was trained with.
    warmup: `warmups.read`.
    targets: of the tasks.
    subtask: a value of `less_targets.Subtask`.
    dimensions: of the projected gradients (the paper: 8,192).
    seed: of the projection.
    b1: Adam's numbers, those of the warm-up (`optimizers.adamw`).
    b2: likewise.
    epsilon: likewise.
    max_tokens: of a row; what does not fit is unscorable.
    length_step: rows are padded to a multiple of this many tokens.
    batch_tokens: tokens of a batch, padding included. Each of its rows has a
      gradient of its own: three times the adapter's size.
    part_records: records a part of the score set.
    name: the sampler's name in tables.
    working_files: where the targets' gradients are kept until all is scored;
      None for memory.
  """

  judge: judges.Judge
  tokenizer: Tokenizer
  template: Template
  warmup: warmups.Warmup
  targets: less_targets.Targets
  subtask: str
  dimensions: int
  seed: int
  b1: float
  b2: float
  epsilon: float
  max_tokens: int
  length_step: int
  batch_tokens: int
  part_records: int
  name: str = "less"

  working_files: WorkingFiles | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )
  directions: Float[np.ndarray, "c m d"] | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.INSTRUCTION

  def __post_init__(self):
    """Raises ValueError where judge, vocabulary and numbers do not fit."""
    self.subtask = less_targets.Subtask(self.subtask)
    judges.check_vocabulary(self.judge, self.tokenizer)
    self._gradients = less_gradients.Gradients(
      judge=self.judge,
      lora=self.warmup.lora,
      rates=gradient_features.AdamRates(self.b1, self.b2, self.epsilon, 0.0),
      dimensions=self.dimensions,
      seed=self.seed,
      rows=answer_rows.AnswerRows(
        network=self.judge.network,
        tokenizer=self.tokenizer,
        template=self.template,
        max_tokens=self.max_tokens,
      ),
      buckets=batching.Buckets(
        longest=self.max_tokens,
        step=self.length_step,
        batch_tokens=self.batch_tokens,
      ),
    )

  @functools.cached_property
  def weights(self) -> Float[np.ndarray, " c"]:
    """η, of sum 1."""
    rates = np.array([c.weight for c in self.warmup.checkpoints])
    return (rates / rates.sum()).astype(np.float32)

  @functools.cached_property
  def tasks(self) -> list[str]:
    """The names of the target tasks, in the order of their numbers."""
    return less_targets.tasks(self.targets)

  def identity(self) -> dict:
    """All that a score depends on."""
    return {
      "name": self.name,
      "judge": self.judge.identity(),
      "rows": self._gradients.rows.identity(),
      "warmup": self.warmup.identity(),
      "targets": {**self.targets.identity(), "tasks": self.tasks},
      "subtask": str(self.subtask),
      "projection": {"dimensions": self.dimensions, "seed": self.seed},
      "adam": {"b1": self.b1, "b2": self.b2, "epsilon": self.epsilon},
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.judge.layout(),
    }

  def prepare(self, read: interface.Read) -> None:
    """Takes the targets' gradients, unless they are there already.

    Raises:
      LessError: no targets, or a task none of whose records can be used.
    """
    del read
    files = self.working_files or InMemory()
    files.each(_PIECE, self._targets_piece, 1)
    self.directions = np.array(files.read(_PIECE, 0)["directions"])

  def score(self, batch: Sequence[Instruction]) -> interface.Scores:
    """The scores of `n` instructions; see the class for the columns."""
    return runner.score(self, batch)

  def pack(self, batch: Sequence[Instruction]) -> interface.Packed:
    """Rows of the records, in padded batches."""
    rows = [self._gradients.rows.row(instruction) for instruction in batch]
    places = [n for n, row in enumerate(rows) if row.reason is None]
    items, arrays = self._gradients.batches([rows[n] for n in places])
    return interface.Packed(arrays, _Notes(rows, places, items))

  def step(self, arrays: Mapping[str, np.ndarray]) -> jax.Array:
    """Influence [rows, tasks] of one batch."""
    if self.directions is None:
      raise less_targets.LessError("prepare must run before score")
    placed = self._gradients.placed(arrays)
    total = None
    for number, checkpoint in enumerate(self.warmup.checkpoints):
      features = self._gradients.of(checkpoint, placed, adam=True)
      found = self.weights[number] * gradient_features.cosines(
        features, self.directions[number]
      )
      total = found if total is None else total + found
    return total

  def unpack(
    self, packed: interface.Packed, results: list[np.ndarray]
  ) -> interface.Scores:
    """Influence by task to scores."""
    notes: _Notes = packed.notes
    records, tasks = len(notes.rows), len(self.tasks)
    found = np.full((records, tasks), np.nan, np.float32)
    for items, values in zip(notes.items, results, strict=True):
      found[[notes.places[item] for item in items]] = values[: len(items)]
    columns = {
      "score": found.max(axis=1),
      "task": found.argmax(axis=1).astype(np.int32),
      "answer_tokens": np.array(
        [len(row.targets) for row in notes.rows], np.int32
      ),
    }
    return interface.Scores(
      list(map(_status, notes.rows, columns["score"].tolist())), columns
    )

  def _targets_piece(self, number: int) -> Columns:
    """Of each checkpoint and task, what cosines are taken to."""
    del number  # there is one
    found = less_targets.directions(
      self.targets,
      self._gradients,
      self.warmup.checkpoints,
      subtask=self.subtask,
      name=self.name,
    )
    return {"directions": found}


def _status(row: answer_rows.Row, score: float) -> str:
  if row.reason is not None:
    return interface.unscorable(row.reason)
  fine = np.isfinite(score)
  return interface.SCORED if fine else interface.unscorable("no gradient")
