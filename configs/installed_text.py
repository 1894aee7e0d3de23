# SPDX-License-Identifier: Apache-2.0
"""Does selection beat chance, and all of the data, on what anyone has?

{Full, Random, Density, Ask-LLM, Ask-LLM x Density} at 40 and 60% of the tokens,
seeds 0 to 2, by the quickstart's network. The paper (arXiv 2402.09668): Full's
quality in fewer steps at 60%. Hours were not measured for these steps.

  python -m launch.local configs/installed_text.py --workers=2
"""

from configs import chains
from data_efficient.cli.jobs import Job


def jobs(*, laptop: chains.Laptop) -> list[Job]:
  """The comparison.

  Args:
    laptop: corpus, steps, output.
  """
  return laptop.jobs(
    SAMPLERS=("density", "ask_llm", "quality_coverage"),
    BUDGETS=(0.4, 0.6),
    SEEDS=(0, 1, 2),
  )
