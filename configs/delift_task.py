# SPDX-License-Identifier: Apache-2.0
"""Towards a task: does DELIFT choose better than LESS and SelectIT?

TARGETS are records of the task, TEST others of it, the pool has many tasks;
FL2MI reads utilities for the targets. Random and Full beside, three seeds. The
paper (arXiv 2411.04425) has HotpotQA towards MMLU; its baselines are not those
that were published. Hours were not measured.

  python -m launch.local configs/delift_task.py --base=llama-3.2-3b \
    --pool='pool/*.jsonl' --targets=targets.jsonl --test=test.jsonl
"""

from collections.abc import Mapping

from configs import chains
from data_efficient.cli.jobs import Job


def jobs(
  *,
  instructions: chains.Instructions,
  methods: str = "delift_fl2mi selectit less",
  macros: Mapping[str, str] | None = None,
) -> list[Job]:
  """Methods x 10, 30, 50% x three seeds.

  Args:
    instructions: base, files, steps, output.
    methods: names, with blanks between; Full and Random always are.
    macros: NAME -> gin text, as --gin.NAME.
  """
  return instructions.jobs(
    "task_specific",
    macros=macros,
    METHODS=methods,
    BUDGETS=(0.1, 0.3, 0.5),
    SEEDS=(0, 1, 2),
  )
