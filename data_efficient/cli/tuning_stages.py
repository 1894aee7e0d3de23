# SPDX-License-Identifier: Apache-2.0
"""Stages on sets of instructions as jobs: scores, utilities, samples."""

import dataclasses
from collections.abc import Mapping

from data_efficient.cli import stages
from data_efficient.cli.jobs import Job
from data_efficient.cli.tuning_places import (
  CORPUS,
  COUNTS,
  POOL,
  SETS,
  TEST,
  Places,
)


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
  files, bindings = _READERS[stage.verb](places, stage)
  reads = {macro: others[name] for macro, name in stage.reads.items()}
  return Job(
    name=stage.job,
    verb=stage.verb,
    gin_files=(*files, *stage.gin_files),
    bindings={
      "OUTPUT": places.path(stage.place),
      **bindings,
      **stage.bindings,
      **{macro: places.path(read.place) for macro, read in reads.items()},
    },
    leaves=[places.path(stage.leaves)],
    needs=[COUNTS, *(read.job for read in reads.values())],
  )


def _reader(stage: Stage) -> str:
  return f"the stage {stage.name!r}"


def _targets(places: Places, stage: Stage, default: str) -> dict[str, object]:
  name = stage.targets or default
  return {"TARGETS": places.files(name, reader=_reader(stage))} if name else {}


def _score(places: Places, stage: Stage) -> tuple[list[str], dict]:
  files = ["gin/runs/score.gin", CORPUS]
  bindings = {
    "SCORED_SPLITS": (POOL,),
    **places.corpus(stage.of, reader=_reader(stage)),
    **_targets(places, stage, ""),
  }
  if stage.vocabulary:
    files += places.vocabulary
    bindings |= places.vocabulary_bindings
  return files, bindings


def _select(places: Places, stage: Stage) -> tuple[list[str], dict]:
  return ["gin/runs/select.gin", CORPUS], {
    "SAMPLER": stage.name,
    "TOKEN_COUNTS": places.counts,
    **places.corpus(stage.of, reader=_reader(stage)),
  }


def _utility(places: Places, stage: Stage) -> tuple[list[str], dict]:
  return ["gin/runs/utility.gin"], {
    "POOL": places.files(stage.of, reader=_reader(stage)),
    **_targets(places, stage, POOL),
    **places.fields,
  }


def _train(places: Places, stage: Stage) -> tuple[list[str], dict]:
  files = ["gin/runs/tune_files.gin", *places.model, places.engine]
  return [*files, *places.vocabulary], {
    "POOL": places.files(stage.of, reader=_reader(stage)),
    "WATCHED": places.files(TEST, reader=_reader(stage)),
    **places.modelled,
  }


_READERS = {
  "score": _score,
  "select": _select,
  "utility": _utility,
  "train": _train,
}
