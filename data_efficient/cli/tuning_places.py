# SPDX-License-Identifier: Apache-2.0
"""Where the jobs of a comparison of instructions read and write, as macros."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli import stage_jobs
from data_efficient.cli.jobs import Job
from data_efficient.cli.stages import ChainError

# The first job; all others need it.
SETS = "split"
POOL, TEST = "pool", "test"
CORPUS = "gin/data/instruction_pool.gin"
Files = str | Sequence[str]
# Sets beside pool and test, each with a gin file that checks it.
_MORE = ("targets", "known")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
  """Records, the model that is tuned on them, and the output.

  Attributes:
    output: directory of everything.
    sets: "pool", "test", and, of a use that has them, "targets" and "known" ->
      their files; None for those that there are not.
    split: files that the sets are made of, in shares; None: they are files.
    shares: name of a set -> its share of `split`.
    group: macros that say which records of `split` stay together.
    fields: macros that name a record's fields.
    tasks: macros that name its task.
    model: gin files that bind MODEL.
    model_bindings: macros for them; JUDGE_CHECKPOINT, the base, among them.
    vocabulary: gin files that bind VOCABULARY.
    vocabulary_bindings: macros for them.
    engine: gin file that binds ENGINE.
  """

  output: str
  sets: Mapping[str, Files | None]
  split: Files | None
  shares: Mapping[str, float]
  group: Mapping[str, object]
  fields: Mapping[str, object]
  tasks: Mapping[str, object]
  model: Sequence[str]
  model_bindings: Mapping[str, object]
  vocabulary: Sequence[str]
  vocabulary_bindings: Mapping[str, object]
  engine: str

  def __post_init__(self):
    """Raises ChainError without a pool or a test set, or with two of one."""
    named = [name.upper() for name, files in self.sets.items() if files]
    if self.split and named:
      raise ChainError(
        f"FILES is split into {', '.join(self.shares)}, but {', '.join(named)} "
        "are named, too: give FILES, or the sets"
      )
    for name in (POOL, TEST):
      self.files(name, reader="every use")

  def path(self, *names: str) -> str:
    """A path inside the experiment's directory."""
    return str(pathlib.Path(self.output, *names))

  @property
  def counts(self) -> str:
    """The pool's token counts."""
    return self.path("scores", stage_jobs.COUNTS)

  def files(self, name: str, *, reader: str) -> Files:
    """The files of a set.

    Raises:
      ChainError: nobody named them.
    """
    if self.split and name in self.shares:
      return self.path("sets", f"{name}.jsonl")
    found = self.sets.get(name)
    if not found:
      raise ChainError(
        f"{reader} reads the set {name!r}, and nobody named its files: give "
        f"--gin.{name.upper()}=FILES"
        + (f", or SHARES with {name!r}" if self.split else "")
      )
    return found

  def disjoint(self) -> Job:
    """The first job: makes the sets, or checks that no two share a prompt."""
    both = {**self.fields, **self.tasks}
    if self.split:
      output = self.path("sets")
      return Job(
        name=SETS,
        verb="split",
        gin_files=("gin/runs/split.gin",),
        bindings={
          **{"FILES": self.split, "OUTPUT": output, "SHARES": self.shares},
          **{**self.group, **both},
        },
        leaves=[self.path("sets", f"{name}.jsonl") for name in self.shares],
      )
    there = {name.upper(): files for name, files in self.sets.items() if files}
    more = [f"gin/runs/check_{n}.gin" for n in _MORE if n.upper() in there]
    return Job(
      name=SETS,
      verb="split",
      gin_files=("gin/runs/check_splits.gin", *more),
      bindings={**there, **both},
    )

  def corpus(self, name: str, *, reader: str) -> dict[str, object]:
    """What binds a set as CORPUS, behind `CORPUS`."""
    return {
      "POOL": self.files(name, reader=reader),
      "PREPARED": self.path("prepared", name),
      **self.fields,
      **self.tasks,
    }

  @property
  def modelled(self) -> dict[str, object]:
    """What binds fields, base and tokenizer."""
    return {
      **self.fields,
      **self.tasks,
      **self.model_bindings,
      **self.vocabulary_bindings,
    }


def asked(*, checkpoint: str, more: Mapping[str, object]) -> dict[str, object]:
  """Macros of a stage that asks a model, for gin files."""
  return {"JUDGE_CHECKPOINT": checkpoint, **more}


def tuned(*, checkpoint: str, more: Mapping[str, object]) -> dict[str, object]:
  """Macros of a stage that tunes a model, for gin files."""
  return {"INITIAL_CHECKPOINT": checkpoint, **more}


def train_bindings(
  *,
  steps: int,
  epochs: float | int | None,
  batch_size: int,
  max_tokens: int,
  checkpoint: str,
  more: Mapping[str, object],
) -> dict[str, object]:
  """Macros of gin/runs/tune_files.gin, for gin files.

  Args:
    steps: of every run; with `epochs` of the periods between evaluations.
    epochs: passes over every selection (gin/runs/tune_epochs.gin); None: as
      many steps for all.
    batch_size: records a step.
    max_tokens: of a row.
    checkpoint: what is tuned.
    more: others.
  """
  length = {"STEPS": steps} if epochs is None else {"EPOCHS": epochs}
  return {
    **length,
    "BATCH_SIZE": batch_size,
    "MAX_TOKENS": max_tokens,
    "INITIAL_CHECKPOINT": checkpoint,
    "EVALUATION_PERIOD": max(1, steps // 4),
    "CHECKPOINT_PERIOD": steps,
    **more,
  }


def respond_bindings(
  *,
  metrics: Sequence[str],
  answer_tokens: int,
  max_tokens: int,
  embedder: Mapping[str, object],
  more: Mapping[str, object],
) -> dict[str, object]:
  """Macros of gin/runs/respond.gin, for gin files."""
  return {
    "METRICS": tuple(metrics),
    "ANSWER_TOKENS": answer_tokens,
    "MAX_TOKENS": max_tokens,
    **embedder,
    **more,
  }
