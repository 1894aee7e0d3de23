# SPDX-License-Identifier: Apache-2.0
"""Stages on sets of instructions as jobs: scores, utilities, samples."""

import dataclasses
from collections.abc import Mapping

from data_efficient.cli import stage_jobs, stages
from data_efficient.cli.jobs import Job
from data_efficient.cli.stage_jobs import COUNTS, Reads
from data_efficient.cli.tuning_places import CORPUS, POOL, SETS, TEST, Places


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(stages.Stage):
  """Work before selection, on one of the sets of instructions.

  Attributes:
    of: the set that is read; of a utility, the examples.
    targets: the set that is bound as TARGETS: whose records a utility is
      measured for, or influence on whose tasks a scorer measures; "" for none.
  """

  of: str = POOL
  targets: str = ""


def counting(places: Places) -> Job:
  """The job that counts the pool's tokens; all that follow need it."""
  stage = Stage(name=COUNTS, gin_files=("gin/scorers/token_counts.gin",))
  return dataclasses.replace(
    job(places, stage, {}),
    name=COUNTS,
    leaves=[f"{places.counts}/manifest.json"],
    needs=[SETS],
  )


def job(places: Places, stage: Stage, others: Mapping[str, Stage]) -> Job:
  """The job of a stage.

  Args:
    places: of the comparison.
    stage: what is computed.
    others: by name, all that it reads among them.

  Raises:
    ChainError: it reads a set that nobody named.
  """
  reads = _READERS[stage.verb](places, stage)
  return stage_jobs.of_stage(stage, others, reads, places.path)


def _reader(stage: Stage) -> str:
  return f"the stage {stage.name!r}"


def _targets(places: Places, stage: Stage, default: str) -> dict[str, object]:
  name = stage.targets or default
  return {"TARGETS": places.files(name, reader=_reader(stage))} if name else {}


def _score(places: Places, stage: Stage) -> Reads:
  files = ["gin/runs/score.gin", CORPUS]
  bindings = {
    "SCORED_SPLITS": (POOL,),
    **places.corpus(stage.of, reader=_reader(stage)),
    **_targets(places, stage, ""),
  }
  if stage.vocabulary:
    files += places.vocabulary
    bindings |= places.vocabulary_bindings
  return Reads(files, bindings)


def _select(places: Places, stage: Stage) -> Reads:
  bindings = {
    **stage_jobs.selecting(stage.name, places.path),
    **places.corpus(stage.of, reader=_reader(stage)),
  }
  return Reads(["gin/runs/select.gin", CORPUS], bindings)


def _utility(places: Places, stage: Stage) -> Reads:
  bindings = {
    "POOL": places.files(stage.of, reader=_reader(stage)),
    **_targets(places, stage, POOL),
    **places.fields,
  }
  return Reads(["gin/runs/utility.gin"], bindings)


def _train(places: Places, stage: Stage) -> Reads:
  files = ["gin/runs/tune_files.gin", *places.model, places.engine]
  bindings = {
    "POOL": places.files(stage.of, reader=_reader(stage)),
    "WATCHED": places.files(TEST, reader=_reader(stage)),
    **places.modelled,
  }
  return Reads([*files, *places.vocabulary], bindings)


_READERS = {
  "score": _score,
  "select": _select,
  "utility": _utility,
  "train": _train,
}
