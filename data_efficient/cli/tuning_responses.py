# SPDX-License-Identifier: Apache-2.0
"""What a selection is used for, as jobs: a model is tuned, and answers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from data_efficient.cli.jobs import Job
from data_efficient.cli.stages import ChainError
from data_efficient.cli.tuning_places import POOL, SETS, TEST, Places

TUNED, IN_CONTEXT = USES = ("tuned", "in_context")
# The model that nothing was done to, and the folder of all responses.
BASE, FOLDER = "base", "responses"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Responding:
  """How models answer the test set.

  Attributes:
    uses: some of `USES`: a model that was tuned on a selection, and the base
      with the nearest examples of the selection before each query.
    embedder: gin files that find the nearest, and measure similarity.
    bindings: macros of gin/runs/respond.gin and of the embedder.
    shown: examples before a query.
  """

  uses: Sequence[str]
  embedder: Sequence[str]
  bindings: Mapping[str, object]
  shown: int

  def __post_init__(self):
    """Raises ChainError for an unknown use."""
    if unknown := sorted({*self.uses} - {*USES}):
      raise ChainError(
        f"USES = {tuple(self.uses)}: {', '.join(unknown)} unknown; expected "
        f"some of {', '.join(USES)}, or () for losses alone"
      )

  def of_base(self, places: Places) -> Iterator[Job]:
    """The base's own answers, without examples."""
    if self.uses:
      yield self._job(places, BASE, TUNED, {}, needs=[SETS])

  def of_selection(
    self, places: Places, select: Job, trained: Job
  ) -> Iterator[Job]:
    """Answers of the model that was tuned, and of the base with examples.

    Args:
      places: of the comparison.
      select: what makes the selection.
      trained: what tunes a model on it.
    """
    name = select.name.removeprefix("select_")
    if TUNED in self.uses:
      found = {"CHECKPOINT": trained.bindings["OUTPUT"]}
      yield self._job(places, name, TUNED, found, needs=[trained.name])
    if IN_CONTEXT in self.uses:
      found = {
        "EXAMPLES": places.files(POOL, reader="respond"),
        "EXAMPLES_SELECTION": select.bindings["OUTPUT"],
        "SHOWN": self.shown,
      }
      yield self._job(places, name, IN_CONTEXT, found, needs=[select.name])

  def _job(
    self,
    places: Places,
    name: str,
    use: str,
    bindings: Mapping[str, object],
    *,
    needs: Sequence[str],
  ) -> Job:
    output = places.path(FOLDER, use, name)
    behind = ["gin/runs/respond_tuned.gin"]
    if use == IN_CONTEXT:
      behind += ["gin/runs/respond_in_context.gin"]
      behind += ["gin/runs/respond_selected.gin"]
    return Job(
      name=f"respond_{use}_{name}",
      verb="respond",
      gin_files=(
        *("gin/runs/respond.gin", *places.model, *places.vocabulary),
        *(*self.embedder, *behind),
      ),
      bindings={
        "OUTPUT": output,
        "CHECKPOINT": places.model_bindings["JUDGE_CHECKPOINT"],
        "TEST": places.files(TEST, reader="respond"),
        **places.modelled,
        **self.bindings,
        **bindings,
      },
      leaves=[f"{output}/responses.json"],
      needs=needs,
    )
