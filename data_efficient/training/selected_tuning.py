# SPDX-License-Identifier: Apache-2.0
"""Tuning on what a selection keeps: what tables say of it, and how long."""

import math
from typing import Any

from data_efficient.data import selections
from data_efficient.training import pretraining


def facts(
  *, selection: str, tuned_on: str, checkpoint: str | None
) -> dict[str, Any]:
  """What tables say of a run: its selection (`pretraining.facts`), its base."""
  return {
    **pretraining.facts(selection=selection),
    "tuned_on": tuned_on,
    "initial_checkpoint": checkpoint,
  }


def steps(*, selection: str, batch_size: int, epochs: float | int) -> int:
  """Steps that see each record of a selection so many times, at least one.

  Args:
    selection: directory of the selection.
    batch_size: records a step.
    epochs: above 0.

  Raises:
    ValueError: `epochs` is not above 0.
  """
  if not epochs > 0:
    raise ValueError(f"EPOCHS = {epochs}: expected a number above 0")
  records = selections.Selection.open(selection).records
  return max(1, math.ceil(records * epochs / batch_size))
