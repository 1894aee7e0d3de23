# SPDX-License-Identifier: Apache-2.0
"""How large must the judge be, for which model?

Flan-T5 small to XXL as judges x T5 1.1 {small, large}, at 60%, Full and Random
beside. In the paper (arXiv 2402.09668, Figure 6) a larger judge helps more
where the model is larger. Hours were not measured.

  python -m launch.tpu_vm configs/judge_size.py --corpus='c4/*.jsonl' \
    --vocabulary=t5/spiece.model --judges=judges
"""

from configs import chains
from data_efficient.cli.jobs import Job

SIZES = ("small", "base", "large", "xl", "xxl")


def jobs(*, paper: chains.Paper, judges: str) -> list[Job]:
  """Judges x models.

  Args:
    paper: corpus, vocabulary, engine, steps, output.
    judges: directory with the folders flan-t5-small, …, flan-t5-xxl.
  """
  checkpoints = {
    f"ASK_LLM_{size.upper()}_CHECKPOINT": f"{judges}/flan-t5-{size}"
    for size in SIZES
  }
  return paper.jobs(
    sizes=("small", "large"),
    SAMPLERS=tuple(f"ask_llm_{size}" for size in SIZES),
    BUDGETS=(0.6,),
    SEEDS=(0,),
    COMPARED_SEEDS=(0,),
    **checkpoints,
  )
