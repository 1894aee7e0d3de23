# SPDX-License-Identifier: Apache-2.0
"""Where the jobs of a comparison of instructions read and write, as macros."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli.stages import ChainError

COUNTS = "token_counts"
POOL, TEST = "pool", "test"
CORPUS = "gin/data/instruction_pool.gin"
Files = str | Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
  """Records, the model that is tuned on them, and the output.

  Attributes:
    output: directory of everything.
    sets: "pool", "test", and, of a use that has them, "targets" and "known" ->
      their files.
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
  fields: Mapping[str, object]
  tasks: Mapping[str, object]
  model: Sequence[str]
  model_bindings: Mapping[str, object]
  vocabulary: Sequence[str]
  vocabulary_bindings: Mapping[str, object]
  engine: str

  def __post_init__(self):
    """Raises ChainError without a pool or a test set."""
    for name in (POOL, TEST):
      self.files(name, reader="every use")

  def path(self, *names: str) -> str:
    """A path inside the experiment's directory."""
    return str(pathlib.Path(self.output, *names))

  @property
  def counts(self) -> str:
    """The pool's token counts."""
    return self.path("scores", COUNTS)

  def files(self, name: str, *, reader: str) -> Files:
    """The files of a set.

    Raises:
      ChainError: nobody named them.
    """
    found = self.sets.get(name)
    if not found:
      raise ChainError(
        f"{reader} reads the set {name!r}, and nobody named its files: give "
        f"--gin.{name.upper()}=FILES"
      )
    return found

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
