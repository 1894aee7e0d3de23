# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of fine-tuned networks: GLUE, SuperGLUE, CNN/DM, SQuAD.

Their tasks are T5's (see `t5_tasks`), their answers are decoded greedily and
measured by T5's metrics.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from data_efficient.data.few_shot import Split


class BenchmarkError(ValueError):
  """A benchmark that cannot be reported honestly, or at all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
  """Tasks of T5 that make one figure.

  Public test sets of GLUE and SuperGLUE have no labels: what is reported is
  their validation sets, and a slice of the training sets, which nothing is
  trained on, chooses.

  Attributes:
    name: of tables.
    category: what its average counts as; see `suites.PAPER`.
    tasks: row -> T5's tasks, which count as one: {"MNLI":
      ("glue_mnli_matched_v002", "glue_mnli_mismatched_v002")}.
    chosen_by: the same for the choice of a checkpoint, where a row's own tasks
      do not have the split.
    splits: {"validation": what chooses, "test": what is reported}, splits or
      slices of TFDS.
    averaged: metrics of T5's whose mean is a task's figure ("rouge2"); ():
      all that a task has.
    data_dir: where the datasets are prepared; "" is TFDS's default folder.
  """

  name: str
  category: str
  tasks: Mapping[str, Sequence[str]]
  chosen_by: Mapping[str, Sequence[str]]
  splits: Mapping[str, str]
  averaged: Sequence[str] = ()
  data_dir: str = ""

  def __post_init__(self):
    wanted = {Split.VALIDATION, Split.TEST}
    if set(self.splits) != wanted:
      raise BenchmarkError(
        f"{self.name!r}: splits are {dict(self.splits)}, expected one each for"
        f" {sorted(wanted)}"
      )
    if self.splits[Split.VALIDATION] == self.splits[Split.TEST]:
      raise BenchmarkError(
        f"{self.name!r}: {self.splits[Split.TEST]!r} would choose and be"
        " reported: choose on a slice of the training set"
      )
    for rows in (self.tasks, self.chosen_by):
      if not rows or any(isinstance(n, str) or not n for n in rows.values()):
        raise BenchmarkError(
          f"{self.name!r}: tasks are {rows!r}, expected row -> list of T5's"
          " tasks"
        )

  def rows(self, split: Split) -> list[list[str]]:
    """T5's tasks on a split, those that count as one together."""
    asked = self.chosen_by if split is Split.VALIDATION else self.tasks
    return [list(names) for names in asked.values()]
