# SPDX-License-Identifier: Apache-2.0
"""Does Ask-LLM (XL) at 60% reach Full's quality in fewer steps?

T5 1.1 large, three seeds, Full and Random beside. The paper (arXiv 2402.09668,
Figure 1) saves 44% of the steps on HQ perplexity, 70% on GLUE and 50% on
SuperGLUE, with one seed. For the last two, every tenth of each run keeps a
checkpoint, which is fine-tuned on the suite and asked it: a third of the
compute of the run itself, a suite; `--suites=` leaves them out. Needs the
package t5 (`make suites`) and their datasets, prepared by TFDS. Hours were not
measured.

  python -m launch.tpu_vm configs/convergence.py --corpus='c4/*.jsonl' \
    --vocabulary=t5/spiece.model --judge=flan-t5-xl
"""

from configs import chains, downstream
from data_efficient.cli.jobs import Job


def jobs(
  *,
  paper: chains.Paper,
  tuning: downstream.Tuning,
  judge: str,
  suites: str = "glue super_glue",
  points: int = 10,
) -> list[Job]:
  """Full, Random and Ask-LLM.

  Args:
    paper: corpus, vocabulary, engine, steps, output.
    tuning: how a network is fine-tuned for the suites.
    judge: directory of Flan-T5-XL.
    suites: that are asked along the way, with blanks between.
    points: checkpoints of each run that are asked, evenly along it.
  """
  return paper.jobs(
    sizes=("large",),
    suites=suites,
    points=points,
    tuning=tuning,
    SAMPLERS=("ask_llm_xl",),
    ASK_LLM_XL_CHECKPOINT=judge,
    BUDGETS=(0.6,),
    SEEDS=(0, 1, 2),
  )
