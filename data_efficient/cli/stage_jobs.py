# SPDX-License-Identifier: Apache-2.0
"""Stages and selections as jobs, whatever the corpus: texts or instructions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from data_efficient.cli import stages
from data_efficient.cli.jobs import Job
from data_efficient.cli.stages import Sampler, Stage

# The job that all stages and selections need.
COUNTS = "token_counts"


class Reads(NamedTuple):
  """What a job reads beside the outputs of stages.

  Attributes:
    gin_files: of its verb and of what it reads.
    bindings: macros for them.
  """

  gin_files: Sequence[str]
  bindings: Mapping[str, object]


class Cell(NamedTuple):
  """One selection of an experiment.

  Attributes:
    sampler: what selects.
    budget: kept fraction.
    seed: of the selection and of the run.
  """

  sampler: Sampler
  budget: float
  seed: int

  @property
  def name(self) -> str:
    """Unique in the experiment."""
    return f"{self.sampler.name}-{self.budget:g}-{self.seed}"


def grid(
  samplers: Sequence[Sampler], budgets: Sequence[float]
) -> Iterator[Cell]:
  """Each sampler, budget and seed; "full" at 1.0 alone."""
  # Seeds outside: the first seed of every sampler is there early.
  for seed in sorted({seed for each in samplers for seed in each.seeds}):
    for sampler in samplers:
      for budget in (1.0,) if sampler.name == "full" else budgets:
        if seed in sampler.seeds:
          yield Cell(sampler, budget, seed)


def of_stage(
  stage: Stage,
  others: Mapping[str, Stage],
  reads: Reads,
  path: Callable[[str], str],
) -> Job:
  """The job of a stage.

  Args:
    stage: what is computed.
    others: by name, all that it reads among them.
    reads: what else it does.
    path: of a place inside the experiment's directory.
  """
  made = {macro: others[name] for macro, name in stage.reads.items()}
  return Job(
    name=stage.job,
    verb=stage.verb,
    gin_files=(*reads.gin_files, *stage.gin_files),
    bindings={
      "OUTPUT": path(stage.place),
      **reads.bindings,
      **stage.bindings,
      **{macro: path(each.place) for macro, each in made.items()},
    },
    leaves=[path(stage.leaves)],
    needs=[COUNTS, *(each.job for each in made.values())],
  )


def selecting(name: str, path: Callable[[str], str]) -> dict[str, object]:
  """Macros of whatever selects: its name, and the pool's token counts."""
  return {"SAMPLER": name, "TOKEN_COUNTS": path(f"scores/{COUNTS}")}


def of_selection(
  cell: Cell,
  known: Sequence[Stage],
  reads: Reads,
  path: Callable[[str], str],
  *,
  behind: Sequence[str] = (),
) -> Job:
  """The job of a selection.

  Args:
    cell: what selects how much.
    known: stages, all that the sampler reads among them.
    reads: the corpus.
    path: of a place inside the experiment's directory.
    behind: gin files after the sampler's own.

  Raises:
    ChainError: the sampler reads a stage that is not there.
  """
  sampler, place = cell.sampler, path(f"selections/{cell.name}")
  made = stages.read(known, sampler)
  return Job(
    name=f"select_{cell.name}",
    verb="select",
    gin_files=(
      *(sampler.run, *reads.gin_files, sampler.selector),
      *(*sampler.gin_files, *behind),
    ),
    bindings={
      "OUTPUT": place,
      **selecting(sampler.name, path),
      "KEEP_FRACTION": cell.budget,
      "SEED": cell.seed,
      **sampler.bindings,
      **{macro: path(stage.place) for macro, stage in made.items()},
      **reads.bindings,
    },
    leaves=[f"{place}/manifest.json"],
    needs=[COUNTS, *(stage.job for stage in made.values())],
  )
