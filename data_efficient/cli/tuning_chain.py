# SPDX-License-Identifier: Apache-2.0
"""A comparison of selections of instructions as commands.

    sets ─► token counts ─► stages ─► selections ─► runs ─► responses
         ─► results.json ─► index.html

The three uses of DELIFT (arXiv 2411.04425) differ in their sets of records
alone: a pool; and targets, for a task; or what is known, for continual tuning.
"""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from data_efficient.cli import (
  stage_jobs,
  stages,
  tuning_responses,
  tuning_stages,
)
from data_efficient.cli.jobs import Job
from data_efficient.cli.stages import ChainError, Sampler
from data_efficient.cli.tuning_places import CORPUS, POOL, TEST, Places

UNITS = ("examples", "tokens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningChain:
  """What is compared, and how.

  Attributes:
    places: where records and the base are, and everything else goes.
    tuned_by: gin files behind the run's own, such as an adapter's.
    unit: what budgets are fractions of: "examples" or "tokens".
    responding: how models answer the test set.
    stages: all that a sampler may need; the others are not run.
    helped: name of the utility stage from which the report takes what helps a
      chosen record most; None: of none.
  """

  places: Places
  tuned_by: Sequence[str]
  unit: str
  responding: tuning_responses.Responding
  stages: Sequence[tuning_stages.Stage]
  helped: str | None = None

  def __post_init__(self):
    """Raises ChainError for an unknown unit of budgets."""
    if self.unit not in UNITS:
      raise ChainError(
        f"BUDGET_UNIT = {self.unit!r}: expected one of {', '.join(UNITS)}"
      )

  @property
  def output(self) -> str:
    """Directory of everything."""
    return self.places.output

  def scoring(self, samplers: Sequence[Sampler]) -> Iterator[Job]:
    """The sets, token counts, then the stages that the samplers read.

    Raises:
      ChainError: a sampler or a stage reads what is not there, or asks for a
        checkpoint that nobody named.
    """
    yield self.places.disjoint()
    yield tuning_stages.counting(self.places)
    needed = stages.all_needed(self.stages, samplers)
    for stage in needed.values():
      yield tuning_stages.job(self.places, stage, needed)

  def runs(
    self,
    samplers: Sequence[Sampler],
    budgets: Sequence[float],
    *,
    train: str,
    bindings: Mapping[str, object],
  ) -> Iterator[Job]:
    """Selection, training and responses of each sampler, budget and seed."""
    yield from self.responding.of_base(self.places)
    corpus = stage_jobs.Reads(
      [CORPUS], self.places.corpus(POOL, reader="select")
    )
    for cell in stage_jobs.grid(samplers, budgets):
      select = stage_jobs.of_selection(
        *(cell, self.stages, corpus, self.places.path),
        behind=[f"gin/selectors/budget_{self.unit}.gin"],
      )
      trained = self._train(cell, select, train, bindings)
      yield from (select, trained)
      yield from self.responding.of_selection(self.places, select, trained)

  def _train(
    self,
    cell: stage_jobs.Cell,
    select: Job,
    train: str,
    bindings: Mapping[str, object],
  ) -> Job:
    places = self.places
    epochs = ["gin/runs/tune_epochs.gin"] if "EPOCHS" in bindings else []
    return Job(
      name=f"train_{cell.name}",
      verb="train",
      gin_files=(
        *(train, *places.model, places.engine, *places.vocabulary),
        *("gin/runs/tune_selected.gin", *self.tuned_by, *epochs),
      ),
      bindings={
        "OUTPUT": places.path("runs", cell.name),
        "SELECTION": select.bindings["OUTPUT"],
        "POOL": places.files(POOL, reader="train"),
        "WATCHED": places.files(TEST, reader="train"),
        "SEED": cell.seed,
        **bindings,
        **places.modelled,
      },
      leaves=[places.path("runs", cell.name, "run.json")],
      needs=[select.name],
    )

  def reporting(
    self, samplers: Sequence[Sampler], *, needs: Sequence[str], command: str
  ) -> Iterator[Job]:
    """results.json, then index.html."""
    made = {
      sampler.name: stages.places(self.stages, sampler) for sampler in samplers
    }
    helped = collections.ChainMap(*made.values()).get(self.helped)
    path = self.places.path
    yield Job(
      name="compare",
      verb="compare",
      gin_files=("gin/runs/compare.gin", CORPUS),
      bindings={
        "EXPERIMENT": self.output,
        "METHODS": [sampler.name for sampler in samplers],
        "STAGES": made,
        "TOKEN_COUNTS": self.places.counts,
        "HELPED": path(helped) if helped else None,
        "COMMAND": command,
        **self.places.corpus(POOL, reader="compare"),
      },
      leaves=[path("results.json")],
      needs=list(needs),
    )
    yield Job(
      name="report",
      verb="report",
      gin_files=("gin/runs/report.gin",),
      bindings={"EXPERIMENT": self.output, "CORPUS": None},
      leaves=[path("index.html")],
      needs=["compare"],
    )
