# SPDX-License-Identifier: Apache-2.0
"""The parts of an experiment: what is compared, and what its scores need."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from data_efficient.cli.jobs import Job

# Verb to the folder of its stages' outputs, and what is there when one is done.
_PLACES = {
  "score": ("scores", "manifest.json"),
  "select": ("shortlists", "manifest.json"),
  "train": ("models", "run.json"),
  "utility": ("utilities", "manifest.json"),
}


class ChainError(ValueError):
  """Stages or samplers that name what is not there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
  """Work before selection: scores, or what scores are made with.

  Attributes:
    name: unique; its output is OUTPUT/scores/NAME, OUTPUT/models/NAME,
      OUTPUT/shortlists/NAME or OUTPUT/utilities/NAME.
    verb: "score"; "train" for a model; "select" for a part of the pool that
      another stage is taught on or scores; "utility" for a utility kernel.
    gin_files: what is computed.
    bindings: macros for them.
    reads: macro -> the stage whose output directory it gets.
    asks: the macro by which a user names what the bindings that are None lack,
      a directory with a checkpoint; "" where they lack nothing.
    vocabulary: whether they read the corpus's VOCABULARY; a stage that reads
      none, or names its own, does not get it.
  """

  name: str
  verb: str = "score"
  gin_files: Sequence[str]
  bindings: Mapping[str, object] = dataclasses.field(default_factory=dict)
  reads: Mapping[str, str] = dataclasses.field(default_factory=dict)
  asks: str = ""
  vocabulary: bool = True

  def __post_init__(self):
    """Raises ChainError for a verb that is no stage's."""
    if self.verb not in _PLACES:
      raise ChainError(
        f"stage {self.name!r}: verb is {self.verb!r}, expected one of "
        f"{', '.join(_PLACES)}"
      )

  @property
  def place(self) -> str:
    """Its directory inside the experiment's."""
    return f"{_PLACES[self.verb][0]}/{self.name}"

  @property
  def leaves(self) -> str:
    """The file that is there when it is done, inside the experiment's."""
    return f"{self.place}/{_PLACES[self.verb][1]}"

  @property
  def job(self) -> str:
    """The name of its job."""
    return self.name if self.verb == "train" else f"{self.verb}_{self.name}"

  @property
  def lacks(self) -> list[str]:
    """The bindings that nobody gave a checkpoint."""
    lacking = [name for name, value in self.bindings.items() if value is None]
    return lacking if self.asks else []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
  """One way to select, as a row of the comparison.

  Attributes:
    name: in tables.
    selector: gin file of the selector.
    seeds: seeds of the selection and of its training runs, paired with the
      same seeds of the other samplers.
    scores: the stage whose scores the selector reads, if any; examples show
      them.
    reads: macro -> the stage of each further score set that it reads.
    gin_files: what stands beside the selector, such as quotas.
    bindings: macros for selector and gin_files.
    judged: what a table calls the scores where they claim to tell good text
      from other text ("the judge"); "" where they claim nothing of the kind.
    run: gin file of the verb `select`.
  """

  name: str
  selector: str
  seeds: Sequence[int]
  scores: str | None = None
  reads: Mapping[str, str] = dataclasses.field(default_factory=dict)
  gin_files: Sequence[str] = ()
  bindings: Mapping[str, object] = dataclasses.field(default_factory=dict)
  judged: str = ""
  run: str = "gin/runs/select.gin"

  @property
  def score_sets(self) -> dict[str, str]:
    """Macro of the selector -> the stage that it gets the directory of."""
    first = {"SCORES": self.scores} if self.scores else {}
    return {**first, **self.reads}


@runtime_checkable
class Experiment(Protocol):
  """What turns samplers into jobs: `chain.Chain`, `tuning_chain.TuningChain`.

  Attributes:
    output: directory of everything.
  """

  output: str

  def scoring(self, samplers: Sequence[Sampler]) -> Iterable[Job]:
    """What the samplers read."""

  def runs(
    self,
    samplers: Sequence[Sampler],
    budgets: Sequence[float],
    *,
    train: str,
    bindings: Mapping[str, object],
  ) -> Iterable[Job]:
    """Selections, and what is done with them."""

  def reporting(
    self, samplers: Sequence[Sampler], *, needs: Sequence[str], command: str
  ) -> Iterable[Job]:
    """results.json, then index.html."""


def needed(stages: Sequence[Stage], sampler: Sampler) -> list[Stage]:
  """The stages that a sampler's scores are made by, each after what it reads.

  Raises:
    ChainError: a stage that is not there, or stages that read each other.
  """
  found: dict[str, Stage] = {}

  def visit(name: str, reader: str, above: tuple[str, ...]) -> None:
    if name in above:
      raise ChainError(f"stages read each other: {' <- '.join((*above, name))}")
    stage = _named(stages, name, reader=reader)
    for read in stage.reads.values():
      visit(read, f"stage {name!r}", (*above, name))
    found.setdefault(name, stage)

  for name in sampler.score_sets.values():
    visit(name, f"sampler {sampler.name!r}", ())
  return list(found.values())


def all_needed(
  stages: Sequence[Stage], samplers: Sequence[Sampler]
) -> dict[str, Stage]:
  """By name, the stages of some samplers, each after what it reads.

  Raises:
    ChainError: see `needed`; or a stage asks for a checkpoint that nobody
      named.
  """
  found = {
    stage.name: stage
    for sampler in samplers
    for stage in needed(stages, sampler)
  }
  _check(found.values())
  return found


def places(stages: Sequence[Stage], sampler: Sampler) -> dict[str, str]:
  """Name of each stage that a sampler needs -> its place, whose cost it is."""
  return {stage.name: stage.place for stage in needed(stages, sampler)}


def _check(stages: Iterable[Stage]) -> None:
  """Raises ChainError where nobody named a checkpoint that a stage asks for."""
  lacking = {stage.name: stage for stage in stages if stage.lacks}
  if not lacking:
    return
  asked = list(dict.fromkeys(stage.asks for stage in lacking.values()))
  flags = " ".join(f"--gin.{name}=DIRECTORY" for name in asked)
  made = " ".join(f"{name}=DIRECTORY" for name in asked)
  ask, model = ("asks", "a model") if len(lacking) == 1 else ("ask", "models")
  bindings = ", ".join(
    dict.fromkeys(name for stage in lacking.values() for name in stage.lacks)
  )
  raise ChainError(
    f"{', '.join(lacking)} {ask} {model} of yours (no {bindings}): give "
    f"{flags}, or make quickstart {made}, where the checkpoint is with its "
    "spiece.model or tokenizer.json; or name samplers that need none"
  )


def read(stages: Sequence[Stage], sampler: Sampler) -> dict[str, Stage]:
  """Macro of a sampler's selector -> the stage whose scores it reads.

  Raises:
    ChainError: a stage that is not there.
  """
  reader = f"sampler {sampler.name!r}"
  return {
    macro: _named(stages, name, reader=reader)
    for macro, name in sampler.score_sets.items()
  }


def _named(stages: Sequence[Stage], name: str, *, reader: str) -> Stage:
  for stage in stages:
    if stage.name == name:
      return stage
  names = ", ".join(stage.name for stage in stages)
  raise ChainError(
    f"{reader} reads {name!r}, but there is no such stage; stages: {names}"
  )
