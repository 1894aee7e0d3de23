# SPDX-License-Identifier: Apache-2.0
"""What bandwidth should Density have?

Five widths, from half the median distance of two records to eight times it, the
width of a neighbourhood (our default), and what the paper's figures imply: a
width of 1 and one hash a row. 40% of the tokens, three seeds, Full and Random
beside. The paper (arXiv 2402.09668) gives no width; the densities of its Figure
9 differ by 1.17 at most, with which Density is almost Random. Each selection
says its weight ratio and its effective sample size. Hours were not measured.

  python -m launch.local configs/density_bandwidth.py --workers=2
"""

from collections.abc import Mapping

from configs import chains
from data_efficient.cli.jobs import Job

SAMPLERS = (
  "density_half",
  "density_median",
  "density_double",
  "density_four",
  "density_eight",
  "density",
  "density_implied",
)


def jobs(
  *,
  laptop: chains.Laptop,
  macros: Mapping[str, str],
  encoder: str = "",
) -> list[Job]:
  """One score set of the same embeddings a width.

  Args:
    laptop: corpus, steps, output.
    macros: of gin/runs/density_bandwidth.gin.
    encoder: directory of a published encoder; "" for latent semantic vectors.
  """
  files, bindings = [], {}
  if encoder:
    files, bindings = ["gin/runs/quickstart_encoder.gin"], {"ENCODER": encoder}
  return laptop.jobs(
    "gin/runs/density_bandwidth.gin",
    *files,
    macros=macros,
    SAMPLERS=SAMPLERS,
    BUDGETS=(0.4,),
    SEEDS=(0, 1, 2),
    **bindings,
  )
