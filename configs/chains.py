# SPDX-License-Identifier: Apache-2.0
"""What the questions share: the quickstart's chain, from its gin files."""

import dataclasses
from collections.abc import Mapping, Sequence

from configs import downstream
from data_efficient import gin_config
from data_efficient.cli import quickstart
from data_efficient.cli.jobs import Job

FILES = "gin/data/quickstart_files.gin"
INSTALLED = "installed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laptop:
  """The quickstart's network, on what anyone has.

  Attributes:
    output: directory of everything.
    corpus: "installed", or a glob of files.
    steps: of each run.
  """

  output: str
  corpus: str = INSTALLED
  steps: int = 400

  def jobs(
    self,
    *gin_files: str,
    macros: Mapping[str, str] | None = None,
    **bindings: object,
  ) -> list[Job]:
    """The chain: gin files after the quickstart's, then macros."""
    files, where = [], {}
    if self.corpus != INSTALLED:
      files, where = [FILES], {"FILES": self.corpus}
    return planned(
      ["gin/runs/quickstart.gin", *gin_files, *files],
      {"STEPS": self.steps, "OUTPUT": self.output, **where, **bindings},
      macros or {},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
  """The chain at the paper's size.

  Attributes:
    output: directory of everything.
    corpus: a glob of files.
    vocabulary: T5's SentencePiece file.
    engine: t5x or local.
    steps: of each run.
  """

  output: str
  corpus: str
  vocabulary: str
  engine: str = "t5x"
  steps: int = 1_000_000

  def jobs(
    self,
    *,
    sizes: Sequence[str],
    macros: Mapping[str, str] | None = None,
    suites: str = "",
    points: int = 1,
    tuning: downstream.Tuning | None = None,
    **bindings: object,
  ) -> list[Job]:
    """One run of each size a selection: OUTPUT/runs/SIZE-SAMPLER-BUDGET-SEED.

    Args:
      sizes: of the models that are trained, of gin/runs/train_SIZE.gin and
        gin/models/t5_1_1_SIZE.gin.
      macros: NAME -> gin text, from a command line.
      suites: names, with blanks between, that each run is asked after
        fine-tuning; "" for none.
      points: checkpoints of each run that are asked them, evenly along it.
      tuning: how each is fine-tuned.
      **bindings: NAME -> value.

    Returns:
      Scores and selections, once; the runs; what they are worth downstream;
      what evaluates and reports all that.

    Raises:
      DownstreamError: suites or points that there are not.
    """
    kept = downstream.period(self.steps, points)
    found = planned(
      ["gin/runs/paper.gin", FILES],
      {
        "FILES": self.corpus,
        "T5_VOCABULARY": self.vocabulary,
        "OUTPUT": self.output,
        "STEPS": self.steps,
        "ENGINE_GIN": f"gin/engines/{self.engine}.gin",
        **bindings,
      },
      macros or {},
    )
    steps, trained = [], []
    for job in found[:-2]:
      for size in sizes if _is_run(job) else ():
        run = _of_size(job, size)
        if points > 1 and suites:
          run = _keeping(run, kept)
        trained.append(self._network(run, size))
        steps.append(run)
      if not _is_run(job):
        steps.append(job)
    steps += downstream.jobs(
      trained,
      suites,
      points=points,
      tuning=tuning or downstream.Tuning(),
    )
    evaluate, report = found[-2:]
    needs = [job.name for job in steps]
    return [*steps, dataclasses.replace(evaluate, needs=needs), report]

  def _network(self, run: Job, size: str) -> downstream.Network:
    return downstream.Network(
      run=run,
      steps=self.steps,
      model=f"gin/models/t5_1_1_{size}.gin",
      engine=self.engine,
      vocabulary=self.vocabulary,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instructions:
  """Selections of instructions, and a decoder that is tuned on each.

  Attributes:
    output: directory of everything.
    base: the decoder's directory, in Hugging Face's layout.
    pool: a glob of files that are chosen from.
    test: a glob of files that models are asked.
    targets: a glob of files that a selection is for; "" for none.
    files: a glob of files, to be split into all of these; "" where they are
      named.
    task_field: what names a record's task; "" for its file.
    steps: of each run.
  """

  output: str
  base: str
  pool: str = ""
  test: str = ""
  targets: str = ""
  files: str = ""
  task_field: str = ""
  steps: int = 200

  def jobs(
    self,
    use: str,
    *,
    macros: Mapping[str, str] | None = None,
    **bindings: object,
  ) -> list[Job]:
    """The chain of a use: instruction_tuning, task_specific or continual."""
    sets = {
      **{"POOL": self.pool, "TEST": self.test, "TARGETS": self.targets},
      "FILES": self.files,
    }
    return planned(
      [f"gin/runs/{use}.gin"],
      {
        "BASE": self.base,
        "OUTPUT": self.output,
        "STEPS": self.steps,
        **{name: files for name, files in sets.items() if files},
        **({"TASK_FIELD": (self.task_field,)} if self.task_field else {}),
        **bindings,
      },
      macros or {},
    )


def planned(
  gin_files: Sequence[str],
  bindings: Mapping[str, object],
  macros: Mapping[str, str],
) -> list[Job]:
  """The jobs of the verb `quickstart`: score, select, train, evaluate, report.

  Args:
    gin_files: in their order.
    bindings: NAME -> value.
    macros: NAME -> gin text, from a command line; they override `bindings`.

  Raises:
    GinError: gin files or bindings that cannot mean what was intended.
    ChainError: samplers or stages that are not there.
  """
  words = [f"{name}={value!r}" for name, value in bindings.items()]
  words += [f"{name}={text}" for name, text in macros.items()]
  gin_config.parse(gin_files, words)
  found: list[Job] = []
  gin_config.configured(quickstart.quickstart)(schedule=found.extend)
  return found


def _is_run(job: Job) -> bool:
  """Whether it trains what is compared, not what some scores need."""
  return job.verb == "train" and job.name.startswith("train_")


def _of_size(job: Job, size: str) -> Job:
  name = f"{size}-{job.name.removeprefix('train_')}"
  place = f"{job.bindings['OUTPUT'].rpartition('/')[0]}/{name}"
  return dataclasses.replace(
    job,
    name=f"train_{name}",
    gin_files=(f"gin/runs/train_{size}.gin", *job.gin_files[1:]),
    bindings={**job.bindings, "OUTPUT": place},
    leaves=(f"{place}/run.json",),
  )


def _keeping(run: Job, period: int) -> Job:
  """The run, whose checkpoints stay every `period` steps."""
  return dataclasses.replace(
    run,
    gin_files=(*run.gin_files, "gin/runs/keep.gin"),
    bindings={**run.bindings, "KEEP_PERIOD": period},
  )
