# SPDX-License-Identifier: Apache-2.0
"""What the questions share: the quickstart's chain, from its gin files."""

import dataclasses
from collections.abc import Mapping, Sequence

from data_efficient import gin_config
from data_efficient.cli import quickstart
from data_efficient.cli.jobs import Job

FILES = "gin/data/quickstart_files.gin"


def planned(
  gin_files: Sequence[str], bindings: Mapping[str, object]
) -> list[Job]:
  """The jobs of the verb `quickstart`: score, select, train, evaluate, report.

  Raises:
    GinError: gin files or bindings that cannot mean what was intended.
    ChainError: samplers or stages that are not there.
  """
  gin_config.parse(gin_files, [f"{k}={v!r}" for k, v in bindings.items()])
  found: list[Job] = []
  gin_config.configured(quickstart.quickstart)(schedule=found.extend)
  return found


def paper(
  *,
  corpus: str,
  vocabulary: str,
  output: str,
  engine: str,
  sizes: Sequence[str] = ("small",),
  gin_files: Sequence[str] = (),
  **bindings: object,
) -> list[Job]:
  """The chain at the paper's size; runs of each model size.

  Scores and selections are made once. Runs of the first size are reported;
  those of the others lie in OUTPUT/SIZE/runs.
  """
  found = planned(
    ["gin/runs/paper.gin", FILES, *gin_files],
    {
      "FILES": corpus,
      "T5_VOCABULARY": vocabulary,
      "OUTPUT": output,
      "ENGINE_GIN": f"gin/engines/{engine}.gin",
      "TRAIN_GIN": f"gin/runs/train_{sizes[0]}.gin",
      **bindings,
    },
  )
  runs = [job for job in found if job.name.startswith("train_")]
  runs = [job for job in runs if "SELECTION" in job.bindings]
  larger = [_of_size(job, size, output) for size in sizes[1:] for job in runs]
  # Evaluation and report come last.
  return [*found[:-2], *larger, *found[-2:]]


def _of_size(job: Job, size: str, output: str) -> Job:
  name = job.name.removeprefix("train_")
  place = f"{output}/{size}/runs/{name}"
  return dataclasses.replace(
    job,
    name=f"train_{size}_{name}",
    gin_files=(f"gin/runs/train_{size}.gin", *job.gin_files[1:]),
    bindings={**job.bindings, "OUTPUT": place},
    leaves=(f"{place}/run.json",),
  )
