# SPDX-License-Identifier: Apache-2.0
"""Do examples of a record's own task help it more than those of other tasks?

A model that cannot use examples has utilities that mean nothing, and nothing
can be chosen by them; this is to be looked at first. Each target's own mean
counts alike, however many examples its task has.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.evaluation import bootstrap

_RESAMPLES = 1000
_SEED = 0


def of(
  kernel: UtilityKernel,
  targets: Sequence[str | None],
  examples: Sequence[str | None],
) -> dict[str, Any] | None:
  """Mean utilities by task, with bootstrap intervals over targets.

  Args:
    kernel: read block by block; pairs that are masked do not count.
    targets: task of each target; None: not known.
    examples: task of each example.

  Returns:
    {"targets": how many have examples of both kinds; "same", "other",
    "difference": {"value", "interval"}, in the kernel's unit; "helped": share
    of them whose own task helps more}; None where there is no such target.

  Raises:
    ArtifactError: a missing or damaged block.
  """
  numbers = {task: n for n, task in enumerate(dict.fromkeys(examples))}
  numbers.pop(None, None)
  rows = np.array([numbers.get(task, -1) for task in targets])
  columns = np.array([numbers.get(task, -2) for task in examples])
  # Of examples of the target's own task, and of others.
  sums, counts = np.zeros((len(rows), 2)), np.zeros((len(rows), 2))
  for block in kernel.blocks("raw"):
    same = rows[block.targets][:, None] == columns[block.examples][None]
    known = (columns[block.examples] >= 0)[None] & ~block.mask
    for kind, pairs in enumerate((same & known, ~same & known)):
      values = np.where(pairs, block.values, 0.0)
      sums[block.targets, kind] += values.sum(axis=1, dtype=np.float64)
      counts[block.targets, kind] += pairs.sum(axis=1)
  told = (rows >= 0) & (counts > 0).all(axis=1)
  if not told.any():
    return None
  means = sums[told] / counts[told]
  weights = bootstrap.drawn(len(means), resamples=_RESAMPLES, seed=_SEED)
  ones = np.ones(len(means))
  same, other = means.T
  measured = {"same": same, "other": other, "difference": same - other}
  return {
    "targets": len(means),
    **{n: bootstrap.share(v, ones, weights) for n, v in measured.items()},
    "helped": float((same > other).mean()),
  }
