# SPDX-License-Identifier: Apache-2.0
"""What the questions share: the quickstart's chain, from its gin files."""

import dataclasses
from collections.abc import Mapping, Sequence

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
    **bindings: object,
  ) -> list[Job]:
    """One run of each size a selection: OUTPUT/runs/SIZE-SAMPLER-BUDGET-SEED.

    Args:
      sizes: of the models that are trained, of gin/runs/train_SIZE.gin.
      macros: NAME -> gin text, from a command line.
      **bindings: NAME -> value.

    Returns:
      Scores and selections, once; the runs; what evaluates and reports them.
    """
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
    steps = [
      sized
      for job in found[:-2]
      for sized in (
        [_of_size(job, s) for s in sizes] if _is_run(job) else [job]
      )
    ]
    evaluate, report = found[-2:]
    needs = [job.name for job in steps]
    return [*steps, dataclasses.replace(evaluate, needs=needs), report]


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
