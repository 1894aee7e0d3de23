# SPDX-License-Identifier: Apache-2.0
"""What the scores of a run cost: all of them, and its share of them."""

import collections
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_efficient.evaluation import names

# Sampler -> stage -> seconds.
Seconds = Mapping[str, Mapping[str, float | int]]

_SCORED_BY_NOTHING = (names.FULL, names.RANDOM)


class Scoring(NamedTuple):
  """Seconds of scoring that stand behind one run.

  Attributes:
    alone: of all stages that its sampler needs: had this been the only run.
    amortised: of each stage, its seconds divided by the number of runs that it
      serves, of all samplers, budgets, seeds and networks. Summed over all
      runs, what was really spent.
  """

  alone: float
  amortised: float


def of_samplers(
  samplers: Sequence[str], seconds: Seconds
) -> dict[str, Scoring | None]:
  """The scoring behind a run of each sampler.

  Zero for Full and Random; None for another sampler that `seconds` does not
  name: what its scores cost is not known, and that is not nothing.

  Args:
    samplers: of each run that is counted.
    seconds: sampler -> stage -> seconds. A stage that stands with two samplers
      under one name and with the same seconds is one, and serves the runs of
      both.
  """
  counts = collections.Counter(samplers)
  served: collections.Counter[tuple] = collections.Counter()
  for sampler, stages in seconds.items():
    for stage in stages.items():
      served[stage] += counts[sampler]
  found: dict[str, Scoring | None] = {}
  for sampler in counts:
    if sampler in seconds:
      stages = seconds[sampler]
      shares = [stage[1] / served[stage] for stage in stages.items()]
      found[sampler] = Scoring(float(sum(stages.values())), float(sum(shares)))
    else:
      known = sampler in _SCORED_BY_NOTHING
      found[sampler] = Scoring(0.0, 0.0) if known else None
  return found
