# SPDX-License-Identifier: Apache-2.0
"""Does DELIFT beat Random, at 10, 30 and 50% of a pool of instructions?

DELIFT by utilities and by embeddings, Random and Full beside, three seeds; each
selection tunes a decoder and stands before queries. In the paper (arXiv
2411.04425) 30% are worth about as much as all. Hours were not measured.

  python -m launch.local configs/delift_instruction.py --base=llama-3.2-3b \
    --files='instruct/*.jsonl.gz' --task_field=task
"""

from collections.abc import Mapping

from configs import chains
from data_efficient.cli.jobs import Job


def jobs(
  *,
  instructions: chains.Instructions,
  methods: str = "delift delift_se",
  macros: Mapping[str, str] | None = None,
) -> list[Job]:
  """Methods x 10, 30, 50% x three seeds.

  Args:
    instructions: base, files, steps, output.
    methods: names, with blanks between; Full and Random always are.
    macros: NAME -> gin text, as --gin.NAME.
  """
  return instructions.jobs(
    "instruction_tuning",
    macros=macros,
    METHODS=methods,
    BUDGETS=(0.1, 0.3, 0.5),
    SEEDS=(0, 1, 2),
  )
