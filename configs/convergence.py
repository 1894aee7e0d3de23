# SPDX-License-Identifier: Apache-2.0
"""Does Ask-LLM (XL) at 60% reach Full's quality in fewer steps?

T5 1.1 large, three seeds, Full and Random beside. The paper (arXiv 2402.09668,
Figure 1) saves 44% of the steps on HQ perplexity, 70% on GLUE and 50% on
SuperGLUE, with one seed. Hours were not measured.

  python -m launch.tpu_vm configs/convergence.py --corpus='c4/*.jsonl' \
    --vocabulary=t5/spiece.model --judge=flan-t5-xl
"""

from configs import chains
from data_efficient.cli.jobs import Job


def jobs(*, paper: chains.Paper, judge: str) -> list[Job]:
  """Full, Random and Ask-LLM.

  Args:
    paper: corpus, vocabulary, engine, steps, output.
    judge: directory of Flan-T5-XL.
  """
  return paper.jobs(
    sizes=("large",),
    SAMPLERS=("ask_llm_xl",),
    ASK_LLM_XL_CHECKPOINT=judge,
    BUDGETS=(0.6,),
    SEEDS=(0, 1, 2),
  )
