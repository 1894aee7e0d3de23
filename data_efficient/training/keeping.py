# SPDX-License-Identifier: Apache-2.0
"""A run whose checkpoints are there when it has ended, to be asked later."""

import dataclasses

from data_efficient.training.run import Run


def keeping(*, run: Run, period: int) -> Run:
  """`run`, which keeps a checkpoint every `period` steps.

  Args:
    run: what is trained.
    period: steps, a multiple of the run's `checkpoint_period`.

  Raises:
    RunError: it is none.
  """
  return dataclasses.replace(run, keep_period=period)
