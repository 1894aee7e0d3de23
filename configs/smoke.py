# SPDX-License-Identifier: Apache-2.0
"""Does every kind of job run? No question of research; a few steps each.

  python -m launch.local configs/smoke.py --corpus='some/*.jsonl' --workers=2

One sampler beside Full and Random, one seed. The paper has nothing of the kind.
"""

from configs import chains
from data_efficient.cli.jobs import Job

_SIZES = {"tiny": ("gin/runs/smoke.gin",), "quickstart": ()}


class SizeError(ValueError):
  """A size that there is not."""


def jobs(
  *,
  output: str,
  corpus: str,
  size: str = "tiny",
  samplers: str = "quality_classifier",
  steps: int = 4,
) -> list[Job]:
  """Score, select, train, evaluate, report.

  Args:
    output: directory of everything.
    corpus: a glob of files.
    size: of networks and vocabulary: tiny, or quickstart.
    samplers: names, with blanks between.
    steps: of each run.

  Raises:
    SizeError: another size.
  """
  if size not in _SIZES:
    raise SizeError(f"--size={size}: expected one of {', '.join(_SIZES)}")
  return chains.Laptop(output=output, corpus=corpus, steps=steps).jobs(
    *_SIZES[size],
    SAMPLERS=samplers,
    BUDGETS=(0.4,),
    SEEDS=(0,),
    COMPARED_SEEDS=(0,),
  )
