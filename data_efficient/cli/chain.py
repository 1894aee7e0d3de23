# SPDX-License-Identifier: Apache-2.0
"""An experiment as commands: which stage reads what another one leaves.

    token counts ─► stages ─► selections ─► runs ─► results.json ─► index.html

Of what lies in its directory a report shows the samplers that are compared.
Nothing is computed here: a `Chain` turns stages and samplers, named in gin,
into jobs, each a command that a person could type.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from data_efficient.cli import stage_jobs, stages
from data_efficient.cli.jobs import Job
from data_efficient.cli.stage_jobs import COUNTS
from data_efficient.cli.stages import Sampler, Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
  """Where the steps read and write.

  Attributes:
    output: directory of everything; the corpus's index, splits and vocabulary
      are in its folder `corpus`.
    corpus: gin files that bind CORPUS.
    corpus_bindings: macros for them.
    vocabulary: gin files that bind VOCABULARY.
    vocabulary_bindings: macros for them.
    engine: gin file that binds ENGINE.
    counts: gin file of the scorer that counts tokens.
    stages: all that a sampler may need; the others are not run.
  """

  output: str
  corpus: Sequence[str]
  corpus_bindings: Mapping[str, object]
  vocabulary: Sequence[str]
  vocabulary_bindings: Mapping[str, object]
  engine: str
  counts: str
  stages: Sequence[Stage]

  def path(self, *names: str) -> str:
    """A path inside the experiment's directory."""
    return str(pathlib.Path(self.output, *names))

  @property
  def _on_corpus(self) -> dict[str, object]:
    return {"PREPARED": self.path("corpus"), **self.corpus_bindings}

  @property
  def _on_vocabulary(self) -> dict[str, object]:
    return {**self._on_corpus, **self.vocabulary_bindings}

  def scoring(self, samplers: Sequence[Sampler]) -> Iterator[Job]:
    """Token counts (with them splits and vocabulary), then the stages.

    Raises:
      ChainError: a sampler or a stage reads what no stage makes, or asks for a
        checkpoint that nobody named.
    """
    yield Job(
      name=COUNTS,
      verb="score",
      gin_files=(
        "gin/runs/score.gin",
        *self.corpus,
        *self.vocabulary,
        self.counts,
      ),
      bindings={
        "OUTPUT": self.path("scores", COUNTS),
        **self._on_vocabulary,
      },
      leaves=[self.path("scores", COUNTS, "manifest.json")],
    )
    needed = stages.all_needed(self.stages, samplers)
    for stage in needed.values():
      yield stage_jobs.of_stage(stage, needed, self._reads(stage), self.path)

  def _reads(self, stage: Stage) -> stage_jobs.Reads:
    files, bindings = list(self.corpus), self._on_corpus
    if stage.vocabulary:
      files, bindings = [*files, *self.vocabulary], self._on_vocabulary
    if stage.verb == "train":
      files = [*files, self.engine]
    else:
      files = [f"gin/runs/{stage.verb}.gin", *files]
    if stage.verb == "select":
      bindings = {**stage_jobs.selecting(stage.name, self.path), **bindings}
    return stage_jobs.Reads(files, bindings)

  def runs(
    self,
    samplers: Sequence[Sampler],
    budgets: Sequence[float],
    *,
    train: str,
    bindings: Mapping[str, object],
  ) -> Iterator[Job]:
    """A selection and a training run for each sampler, budget and seed."""
    corpus = stage_jobs.Reads(self.corpus, self._on_corpus)
    for cell in stage_jobs.grid(samplers, budgets):
      select = stage_jobs.of_selection(cell, self.stages, corpus, self.path)
      yield select
      yield self._train(cell, select, train, bindings)

  def _train(
    self,
    cell: stage_jobs.Cell,
    select: Job,
    train: str,
    bindings: Mapping[str, object],
  ) -> Job:
    return Job(
      name=f"train_{cell.name}",
      verb="train",
      gin_files=(train, self.engine, *self.corpus, *self.vocabulary),
      bindings={
        "OUTPUT": self.path("runs", cell.name),
        "SELECTION": select.bindings["OUTPUT"],
        "SEED": cell.seed,
        **bindings,
        **self._on_vocabulary,
      },
      leaves=[self.path("runs", cell.name, "run.json")],
      needs=[select.name],
    )

  def reporting(
    self, samplers: Sequence[Sampler], *, needs: Sequence[str], command: str
  ) -> Iterator[Job]:
    """results.json, then index.html."""
    scored = [sampler for sampler in samplers if sampler.score_sets]
    # The first score set is the one that its examples show.
    places = {
      sampler.name: next(iter(stages.read(self.stages, sampler).values())).place
      for sampler in scored
    }
    bindings = {
      "EXPERIMENT": self.output,
      "SAMPLERS": [sampler.name for sampler in samplers],
      "SCORES": places,
      **self._on_corpus,
    }
    yield Job(
      name="evaluate",
      verb="evaluate",
      gin_files=("gin/runs/evaluate.gin", *self.corpus),
      bindings={
        "COMMAND": command,
        "STAGES": {
          sampler.name: stages.places(self.stages, sampler)
          for sampler in scored
        },
        "JUDGED": {s.judged: places[s.name] for s in scored if s.judged},
        **bindings,
      },
      leaves=[self.path("results.json")],
      needs=list(needs),
    )
    yield Job(
      name="report",
      verb="report",
      gin_files=("gin/runs/report.gin", *self.corpus),
      bindings=bindings,
      leaves=[self.path("index.html"), self.path("hq_loss.svg")],
      needs=["evaluate"],
    )
