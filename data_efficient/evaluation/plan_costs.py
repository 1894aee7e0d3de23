# SPDX-License-Identifier: Apache-2.0
"""Hours, dollars and shares: a plan's figures as JSON-able values.

Hours of other chips are FLOPs over peak times efficiency, and so a range:
[at the high end of the efficiency, at the low end].
"""

import math
from typing import Any

from data_efficient.evaluation import (
  chips,
  plan_calibration,
  plan_corpus,
  plan_memory,
  plan_scoring,
  plan_training,
)

# Scoring is paid for once it is this share of all the training it serves.
AMORTISED = 0.1


def corpus(size: plan_corpus.Size) -> dict[str, Any]:
  """Records and tokens, each with its 95% interval."""
  return {
    "records": size.records._asdict(),
    "tokens": size.tokens._asdict(),
    "source": size.source,
    "sampled_records": len(size.texts),
  }


def scoring(work: plan_scoring.Work, kind: str) -> dict[str, Any]:
  """What scoring takes, whatever it runs on."""
  return {
    "judge": kind,
    "parameters": plan_memory.parameters(work.network).count,
    "flops": work.flops,
    "padding_share": work.padding,
    "steps": sum(batch.count for batch in work.batches),
    "shapes": [
      {
        "rows": batch.example.shape[0],
        "length": batch.example.shape[1],
        "steps": batch.count,
      }
      for batch in work.batches
    ],
  }


def training(run: plan_training.Training) -> dict[str, Any]:
  """What one training run takes, whatever it runs on."""
  spent = run.flops
  return {
    "parameters": plan_memory.parameters(run.network).count,
    "steps": run.steps,
    "batch": run.batch,
    "inputs": run.inputs,
    "targets": run.targets,
    "remat": run.network.remat,
    "tokens": run.tokens,
    "flops": spent.model,
    "executed_flops": spent.executed,
  }


def on_chip(
  chip: chips.Chip,
  flops: float,
  efficiency: chips.Range,
  *,
  count: int,
  memory: plan_memory.Memory,
) -> dict[str, Any]:
  """Hours and dollars of so many FLOPs on so many chips.

  Args:
    chip: which.
    flops: to be executed.
    efficiency: (low, high) share of the peak.
    count: chips.
    memory: what one of them needs.
  """
  chip_hours = [
    flops / (chip.peak_flops * share) / 3600.0 for share in efficiency[::-1]
  ]
  needed = memory.bytes if math.isfinite(memory.bytes) else None
  return {
    "chip": chip.name,
    "chips": count,
    "efficiency": list(efficiency),
    "chip_hours": chip_hours,
    "hours": [hours / count for hours in chip_hours],
    "dollars": [hours * chip.dollars_per_hour for hours in chip_hours],
    "memory_bytes": needed,
    "memory_source": memory.source,
    "model_parallel": memory.model_parallel,
    "fits": memory.fits,
  }


def price(chip: chips.Chip) -> dict[str, Any]:
  """Where the figures of a chip are from."""
  return {
    "chip": chip.name,
    "peak_flops": chip.peak_flops,
    "memory_bytes": chip.memory_bytes,
    "specified_by": chip.specified_by,
    "specified_as_of": chip.specified_as_of,
    "dollars_per_hour": chip.dollars_per_hour,
    "price_as_of": chip.price_as_of,
    "priced_by": chip.priced_by,
  }


def here_scoring(found: plan_calibration.Scoring) -> dict[str, Any]:
  """The calibrated figures of this machine."""
  return {
    "hours": found.seconds / 3600.0,
    "device_hours": found.device_seconds / 3600.0,
    "host_hours": found.host_seconds / 3600.0,
    "overlapped": found.overlapped,
    "measured": found.measured,
  }


def here_training(found: plan_calibration.Training) -> dict[str, Any]:
  """The calibrated figures of this machine."""
  return {"hours": found.seconds / 3600.0, "measured": found.measured}


def amortisation(scored: float, trained: float) -> dict[str, Any]:
  """Scoring as a share of one training run, both in the same unit.

  `runs_to_a_tenth`: how many such runs share the scores until scoring is at
  most a tenth of what they cost.
  """
  share = scored / trained
  # Rounded, so that a share of exactly 0.3 is not four runs.
  runs = max(1, math.ceil(round(share / AMORTISED, 9)))
  return {"share_of_one_run": share, "runs_to_a_tenth": runs}
