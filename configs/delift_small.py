# SPDX-License-Identifier: Apache-2.0
"""What is DELIFT worth with a decoder that a laptop trains?

A decoder of 5M parameters learns from random ones on a part of the files, half
of its rows with examples of the query's own task before it. Whether these help
it is to be looked at first (`same_task` in results.json): a model that cannot
use examples has utilities that mean nothing. Then two of DELIFT's uses (arXiv
2411.04425) at 10, 30 and 50%, three seeds: instruction tuning on the mixture,
and tuning for the task of `target`, whose records stand in the pool, too. Hours
were not measured.

  python -m launch.local configs/delift_small.py --workers=2 \
    --files='instruct/p3*.jsonl.gz' --target=instruct/gsm8k_train.jsonl.gz \
    --text='pretrain/*.jsonl.gz'
"""

import dataclasses
from collections.abc import Mapping, Sequence

from configs import chains
from data_efficient.cli.jobs import Job

_TASKS = ("task", "template", "subject", "category", "dataset")
# Of the mixture, and of the target's file; "base" is what teaches the decoder.
_MIXTURE = {"pool": 0.08, "test": 0.03, "watched": 0.02, "base": 0.87}
_TARGET = {"pool": 0.02, "targets": 0.01, "test": 0.03, "base": 0.94}
_MODEL = "gin/models/decoder_small.gin"


def jobs(
  *,
  output: str,
  files: str,
  target: str,
  text: str,
  base_steps: int = 1500,
  steps: int = 50,
  macros: Mapping[str, str] | None = None,
) -> list[Job]:
  """The decoder, then both uses.

  Args:
    output: directory of everything.
    files: a glob of instructions, the mixture.
    target: a file of instructions of one task.
    text: a glob of files with the field `text`, for a share of the rows.
    base_steps: of the decoder.
    steps: of each run that tunes it.
    macros: NAME -> gin text, as --gin.NAME, for both uses.
  """
  mixture, single = f"{output}/mixture", f"{output}/target"
  found = [
    _split("split_mixture", files, mixture, _MIXTURE),
    _split("split_target", target, single, _TARGET),
    *_decoder(output, mixture, single, text=text, steps=base_steps),
  ]
  tuned = chains.Instructions(
    output=f"{output}/instruction_tuning",
    base=f"{output}/base",
    pool=f"{mixture}/pool.jsonl",
    test=f"{mixture}/test.jsonl",
    steps=steps,
  )
  aimed = dataclasses.replace(
    tuned,
    output=f"{output}/task_specific",
    pool=f"{output}/[mt]*/pool.jsonl",
    targets=f"{single}/targets.jsonl",
    test=f"{single}/test.jsonl",
  )
  bindings = {
    # What the decoder was taught: the test sets share none of it, either.
    "KNOWN": _taught(mixture, single),
    **{"TASK_FIELD": _TASKS, "MAX_TOKENS": 320, "USES": ("tuned",)},
    **{"BUDGETS": (0.1, 0.3, 0.5), "SEEDS": (0, 1, 2)},
    "UTILITY_TARGETS": 100,
    "UTILITY_BINDINGS": {"MAX_TOKENS": 320, "MAX_EXAMPLE_TOKENS": 160},
    "SELECTIT_BINDINGS": {"LEAST_SCALE_PROBABILITY": 0.0},
  }
  for chain, use, methods in (
    (tuned, "instruction_tuning", "delift delift_se length selectit"),
    (aimed, "task_specific", "delift_fl2mi selectit less"),
  ):
    own = chain.jobs(use, macros=macros, METHODS=methods, **bindings)
    found += _behind(own, use, "export_base")
  return found


def _split(
  name: str, files: str, output: str, shares: Mapping[str, float]
) -> Job:
  return Job(
    name=name,
    verb="split",
    gin_files=("gin/runs/split.gin",),
    bindings={
      **{"FILES": files, "OUTPUT": output, "SHARES": dict(shares)},
      "TASK_FIELD": _TASKS,
    },
    leaves=[f"{output}/{each}.jsonl" for each in shares],
  )


def _decoder(
  output: str, mixture: str, single: str, *, text: str, steps: int
) -> list[Job]:
  """The decoder's run, and its export as a base."""
  run, prepared = f"{output}/decoder", f"{output}/prepared"
  train = Job(
    name="train_decoder",
    verb="train",
    gin_files=(
      *("gin/runs/tune_files.gin", _MODEL, "gin/engines/local.gin"),
      *("gin/data/trained_tokenizer.gin", "gin/runs/tune_in_context.gin"),
      "gin/runs/tune_scratch.gin",
    ),
    bindings={
      **{"OUTPUT": run, "PREPARED": prepared, "TEXT_FILES": text},
      "POOL": _taught(mixture, single),
      "WATCHED": f"{mixture}/watched.jsonl",
      **{"TASK_FIELD": _TASKS, "MAX_TOKENS": 320, "EXAMPLE_TOKENS": 112},
      **{"SHOTS": (1, 2), "BATCH_SIZE": 24, "STEPS": steps},
      "SHARES": {"alone": 0.2, "in_context": 0.5, "text": 0.3},
      **{"CHECKPOINT_PERIOD": 100, "EVALUATION_BATCHES": 8},
    },
    leaves=[f"{run}/run.json"],
    needs=["split_mixture", "split_target"],
  )
  export = Job(
    name="export_base",
    verb="export",
    gin_files=(_MODEL, "gin/runs/export.gin"),
    bindings={
      **{"CHECKPOINT": run, "OUTPUT": f"{output}/base"},
      "TOKENIZER": f"{prepared}/tokenizer/tokenizer.json",
    },
    leaves=[f"{output}/base/config.json"],
    needs=[train.name],
  )
  return [train, export]


def _taught(mixture: str, single: str) -> tuple[str, ...]:
  return (f"{mixture}/base.jsonl", f"{single}/base.jsonl")


def _behind(found: Sequence[Job], use: str, first: str) -> list[Job]:
  """The jobs of a use under names of their own, after a job."""
  return [
    dataclasses.replace(
      job,
      name=f"{use}-{job.name}",
      needs=[first, *(f"{use}-{name}" for name in job.needs)],
    )
    for job in found
  ]
