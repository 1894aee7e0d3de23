# SPDX-License-Identifier: Apache-2.0
"""The verb `plan`: what scoring and training will cost, before either.

Nothing is spent but seconds of calibration, and the compiler's time where the
memory of TPUs is asked of it.
"""

import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_efficient.data import artifacts
from data_efficient.evaluation import (
  chips,
  plan_calibration,
  plan_corpus,
  plan_costs,
  plan_memory,
  plan_scoring,
  plan_text,
  plan_training,
)
from data_efficient.models import topologies

FILE = "plan.json"


def plan(
  *,
  corpus: plan_corpus.Source,
  scorer: plan_scoring.Scorer,
  training: plan_training.Training,
  chip_names: Sequence[str],
  chip_count: int,
  prices: Mapping[str, float | int],
  calibration_seconds: float | int,
  output: str,
) -> None:
  """Prints a plan, and leaves it in OUTPUT/plan.json.

  Args:
    corpus: what is scored.
    scorer: how; its judge has a size, and no checkpoint.
    training: one run, on the corpus or a selection of it.
    chip_names: see `chips.NAMES`.
    chip_count: how many of each work together.
    prices: name of a chip to US dollars a chip-hour, instead of list prices.
    calibration_seconds: about so long scoring, and as long training, are timed
      on this machine, compilation not counted; 0 for neither.
    output: directory.

  Raises:
    ValueError: an unknown chip; see `plan_corpus.Sampled` for the corpus's.
  """
  if chip_count < 1:
    raise ValueError(f"CHIP_COUNT = {chip_count}: expected at least 1")
  known = chips.named(tuple(chip_names), prices)
  size = corpus.size()
  _say(f"corpus: {size.source}")
  work = plan_scoring.work(scorer, size, time.perf_counter)
  compiler = _Compiler()
  found: dict[str, Any] = {
    "machine": plan_calibration.machine(),
    "corpus": plan_costs.corpus(size),
    "scoring": plan_costs.scoring(work, scorer.judge.name["kind"]),
    "training": plan_costs.training(training),
    "prices": [plan_costs.price(chip) for chip in known],
  }
  found["scoring"]["chips"] = [
    _scoring_on(chip, work, chip_count, compiler) for chip in known
  ]
  found["training"]["chips"] = [
    _training_on(chip, training, chip_count, compiler) for chip in known
  ]
  here = _here(scorer, work, training, calibration_seconds)
  found["scoring"]["this_machine"], found["training"]["this_machine"] = here
  found["amortisation"] = _amortisation(found)
  found["notes"] = [*compiler.notes, *_notes(scorer, chip_count)]
  _write(pathlib.Path(output), found)
  print(plan_text.text(found))


class _Compiler:
  """The TPU's compiler as long as it answers, then the formula."""

  def __init__(self):
    self._there = plan_memory.compiler()
    self.notes: list[str] = []
    if not self._there:
      self.notes.append(
        "memory is by formula: libtpu, which compiles for TPUs ahead of time,"
        " is not importable (`make tpu` installs it into .venv/libtpu: set"
        " PYTHONPATH to that, and JAX_PLATFORMS=cpu)"
      )

  def memory(self, of: Callable[..., plan_memory.Memory], *arguments, **named):
    """`of(…, compiled=…)`."""
    try:
      return of(*arguments, compiled=self._there, **named)
    except topologies.TopologyError as error:
      self._there = False
      self.notes.append(f"memory is by formula: {error}")
      return of(*arguments, compiled=False, **named)


def _scoring_on(
  chip: chips.Chip,
  work: plan_scoring.Work,
  count: int,
  compiler: _Compiler,
) -> dict[str, Any]:
  _say(f"memory of {chip.name}, scoring")
  return plan_costs.on_chip(
    chip,
    work.flops,
    chip.scoring_efficiency,
    count=count,
    memory=compiler.memory(plan_memory.scoring, chip, work),
  )


def _training_on(
  chip: chips.Chip,
  run: plan_training.Training,
  count: int,
  compiler: _Compiler,
) -> dict[str, Any]:
  _say(f"memory of {chip.name}, training")
  return plan_costs.on_chip(
    chip,
    run.flops.executed,
    chip.training_efficiency,
    count=count,
    memory=compiler.memory(plan_memory.training, chip, run, count=count),
  )


def _here(
  scorer: plan_scoring.Scorer,
  work: plan_scoring.Work,
  training: plan_training.Training,
  seconds: float | int,
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
  """This machine's hours of scoring and of training."""
  if not seconds:
    return None, None
  _say("calibration, scoring")
  scored = plan_calibration.scoring(scorer, work, seconds=seconds)
  _say("calibration, training")
  trained = plan_calibration.training(training, seconds=seconds)
  return plan_costs.here_scoring(scored), plan_costs.here_training(trained)


def _amortisation(found: Mapping) -> dict[str, Any]:
  scoring, training = found["scoring"], found["training"]
  shares = {
    "FLOPs": plan_costs.amortisation(scoring["flops"], training["flops"])
  }
  if training["executed_flops"] > training["flops"]:
    shares["FLOPs with remat's"] = plan_costs.amortisation(
      scoring["flops"], training["executed_flops"]
    )
  if scoring["this_machine"]:
    shares["hours of this machine"] = plan_costs.amortisation(
      scoring["this_machine"]["hours"], training["this_machine"]["hours"]
    )
  return shares


def _notes(scorer: plan_scoring.Scorer, count: int) -> list[str]:
  notes = [
    "counted are products of matrices; not counted: reading and tokenizing"
    " (other chips), a run's data, evaluations and checkpoints, and writing",
  ]
  if isinstance(scorer, plan_scoring.FullWindows):
    notes.append(
      f"each record is taken to fill a window of {scorer.tokens} tokens:"
      " an upper bound"
    )
  if count > 1:
    notes.append(
      f"{count} chips are taken to be {count} times as fast as one: scoring"
      " is, training less so by what the efficiency's low end allows for"
    )
  return notes


def _write(directory: pathlib.Path, found: Mapping) -> None:
  directory.mkdir(parents=True, exist_ok=True)
  data = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
  artifacts.atomic_write(directory / FILE, data.encode())


def _say(what: str) -> None:
  print(f"plan: {what}", file=sys.stderr)
