# SPDX-License-Identifier: Apache-2.0
"""Which sampler is best at which share of the data, for which model?

The paper's grid (arXiv 2402.09668, Section 4 and Appendix B; DSIR, the quality
classifier and Gemma-7B are of its later version): samplers x {10, 20, 40, 60,
80}% of the tokens x T5 1.1 {small, large}, 1,024 sequences of 512 for 1M steps,
Full and Random beside. Its abstract: Density recovers Full, Ask-LLM often beats
it. Hours were not measured: `--dry_run` first, then a TPU slice.

Each network is then fine-tuned on, and asked, what the paper's Table 1 has.
GLUE, SuperGLUE, CNN/DM and SQuAD need the package t5 (`make suites`) and
datasets that TFDS has prepared; so does few_shot (instruction tuning, then
MMLU, BBH, reasoning and QA), which asks files too and is asked for by
--suites='glue super_glue cnn_dailymail squad few_shot' --questions=DIRECTORY.
`--suites=` leaves all of them out.

Checkpoints are asked for by name; fewer samplers need fewer of them:

  python -m launch.tpu_vm configs/paper_grid.py --corpus='c4/*.jsonl' \
    --vocabulary=t5/spiece.model --samplers='ask_llm_xl density' \
    --gin.ASK_LLM_XL_CHECKPOINT=flan-t5-xl --gin.ENCODER=sentence-t5-base
"""

from collections.abc import Mapping

from configs import chains, downstream
from data_efficient.cli.jobs import Job

SAMPLERS = (
  "ask_llm_small ask_llm_base ask_llm_large ask_llm_xl ask_llm_xxl "
  "ask_llm_gemma_7b perplexity_small perplexity_base perplexity_large "
  "perplexity_xl perplexity_xxl perplexity_large_20k perplexity_large_100k "
  "perplexity_large_300k perplexity_large_500k perplexity_large_700k density "
  "prototypes semdedup dsir quality_classifier"
)


def jobs(
  *,
  paper: chains.Paper,
  tuning: downstream.Tuning,
  macros: Mapping[str, str],
  samplers: str = SAMPLERS,
  sizes: str = "small large",
  suites: str = "glue super_glue cnn_dailymail squad",
) -> list[Job]:
  """The grid.

  Args:
    paper: corpus, vocabulary, engine, steps, output.
    tuning: how a network is fine-tuned for the suites.
    macros: checkpoints and the encoder, of gin/samplers.
    samplers: names, with blanks between.
    sizes: of the models that are trained, with blanks between.
    suites: that each network is asked, with blanks between.
  """
  return paper.jobs(
    sizes=sizes.split(),
    macros=macros,
    suites=suites,
    tuning=tuning,
    SAMPLERS=samplers,
    BUDGETS=(0.1, 0.2, 0.4, 0.6, 0.8),
    SEEDS=(0,),
    COMPARED_SEEDS=(0,),
  )
