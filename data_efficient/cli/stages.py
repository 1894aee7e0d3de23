# SPDX-License-Identifier: Apache-2.0
"""The parts of an experiment: what is compared, and what its scores need."""

import dataclasses
from collections.abc import Mapping, Sequence

_PLACES = {
  "score": ("scores", "manifest.json"),
  "train": ("models", "run.json"),
}


class ChainError(ValueError):
  """Stages or samplers that name what is not there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
  """Work before selection: scores, or a model that scores are made with.

  Attributes:
    name: unique; its output is OUTPUT/scores/NAME or OUTPUT/models/NAME.
    verb: "score" or "train".
    gin_files: what is computed.
    bindings: macros for them.
    reads: macro -> the stage whose output directory it gets.
    vocabulary: whether they read the corpus's VOCABULARY; a stage that reads
      none, or names its own, does not get it.
  """

  name: str
  verb: str
  gin_files: Sequence[str]
  bindings: Mapping[str, object] = dataclasses.field(default_factory=dict)
  reads: Mapping[str, str] = dataclasses.field(default_factory=dict)
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
    return f"score_{self.name}" if self.verb == "score" else self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
  """One way to select, as a row of the comparison.

  Attributes:
    name: in tables.
    selector: gin file of the selector.
    seeds: seeds of the selection and of its training runs, paired with the
      same seeds of the other samplers.
    scores: the stage whose scores the selector reads, if any.
    judged: what a table calls the scores where they claim to tell good text
      from other text ("the judge"); "" where they claim nothing of the kind.
  """

  name: str
  selector: str
  seeds: Sequence[int]
  scores: str | None = None
  judged: str = ""


def needed(stages: Sequence[Stage], sampler: Sampler) -> list[Stage]:
  """The stages that a sampler's scores are made by; the scores come last.

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

  if sampler.scores:
    visit(sampler.scores, f"sampler {sampler.name!r}", ())
  return list(found.values())


def _named(stages: Sequence[Stage], name: str, *, reader: str) -> Stage:
  for stage in stages:
    if stage.name == name:
      return stage
  names = ", ".join(stage.name for stage in stages)
  raise ChainError(
    f"{reader} reads {name!r}, but there is no such stage; stages: {names}"
  )
