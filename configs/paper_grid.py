# SPDX-License-Identifier: Apache-2.0
"""Which sampler is best at which share of the data, for which model?

The paper's grid (arXiv 2402.09668, Section 4): samplers x {10, 20, 40, 60, 80}%
of the tokens x T5 1.1 {small, large}, 1,024 sequences of 512 for 1M steps, Full
and Random beside. Its abstract: Density recovers Full, Ask-LLM often beats it.
Hours were not measured: `--dry_run` first, then a TPU slice.

  python -m launch.tpu_vm configs/paper_grid.py --corpus='c4/*.jsonl' \
    --vocabulary=t5/spiece.model --judge=flan-t5-xl --encoder=sentence-t5-base
"""

from configs import chains
from data_efficient.cli.jobs import Job

SAMPLERS = ("ask_llm_xl", "density", "semdedup", "prototypes")


def jobs(
  *,
  corpus: str,
  vocabulary: str,
  judge: str,
  encoder: str,
  engine: str = "t5x",
  steps: int = 1_000_000,
  output: str = "out/paper_grid",
) -> list[Job]:
  """The grid.

  Args:
    corpus: a glob of files.
    vocabulary: T5's SentencePiece file.
    judge: directory of Flan-T5-XL.
    encoder: directory of Sentence-T5-base.
    engine: t5x or local.
    steps: of each run.
    output: directory of everything.
  """
  return chains.paper(
    corpus=corpus,
    vocabulary=vocabulary,
    output=output,
    engine=engine,
    sizes=("small", "large"),
    gin_files=("gin/runs/quickstart_encoder.gin",),
    ENCODER=encoder,
    SAMPLERS=SAMPLERS,
    ASK_LLM_XL_CHECKPOINT=judge,
    STEPS=int(steps),
    BUDGETS=(0.1, 0.2, 0.4, 0.6, 0.8),
    SEEDS=(0,),
    COMPARED_SEEDS=(0,),
  )
