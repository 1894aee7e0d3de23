# SPDX-License-Identifier: Apache-2.0
"""Does every kind of job run? No question of research; a few steps each.

  python -m launch.local configs/smoke.py --corpus='some/*.jsonl' --workers=2

One sampler beside Full and Random, one seed. The paper has nothing of the kind.
"""

from configs import chains
from data_efficient.cli.jobs import Job


def jobs(
  *,
  corpus: str,
  sizes: str = "",
  output: str = "out/smoke",
) -> list[Job]:
  """Score, select, train, evaluate, report.

  Args:
    corpus: a glob of files.
    sizes: a gin file that may shrink networks and vocabulary further.
    output: directory of everything.
  """
  return chains.planned(
    ["gin/runs/quickstart.gin", chains.FILES, *filter(None, [sizes])],
    {
      "FILES": corpus,
      "OUTPUT": output,
      "SAMPLERS": ("quality_classifier",),
      "STEPS": 4,
      "BUDGETS": (0.4,),
      "SEEDS": (0,),
    },
  )
