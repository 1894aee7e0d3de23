# SPDX-License-Identifier: Apache-2.0
"""Hours, dollars, shares, memory: by hand."""

import dataclasses
import datetime
import math

import numpy as np
import pytest

from data_efficient.evaluation import (
  chips,
  plan_calibration,
  plan_costs,
  plan_memory,
  plan_scoring,
)
from data_efficient.models import published, topologies
from tests.evaluation import planned

FITS = plan_memory.Memory(2.0**30, plan_memory.FORMULA, 1, True)


def test_every_chip_is_dated_and_has_a_source():
  for chip in chips.CHIPS:
    assert chip.priced_by and chip.specified_by
    for date in (chip.price_as_of, chip.specified_as_of):
      assert datetime.date.fromisoformat(f"{date}-01").year >= 2025
    assert plan_costs.price(chip) == {
      name if name != "name" else "chip": value
      for name, value in dataclasses.asdict(chip).items()
      if "efficiency" not in name
    }
    low, high = chip.training_efficiency
    # Training talks more between chips, and has an optimizer.
    assert high <= chip.scoring_efficiency[1] and low < high


def test_no_figure_of_a_chip_changes_without_its_date():
  """Written down a second time: bf16 TFLOP/s, bytes, US$ of a whole host."""
  found = {
    chip.name: (
      chip.peak_flops / 1e12,
      chip.memory_bytes,
      chip.dollars_per_hour * (4 if chip.name == "v5p" else 8),
      chip.specified_as_of,
      chip.price_as_of,
    )
    for chip in chips.CHIPS
  }
  dates = ("2025-06", "2025-06")
  # A GPU's price is an eighth of its instance's, to the cent.
  cents = pytest.approx
  assert found == {
    "v5e": (197, 16 * 2**30, cents(9.60), *dates),
    "v5p": (459, 95 * 2**30, cents(16.80), *dates),
    "v6e": (918, 32 * 2**30, cents(21.60), *dates),
    "H100": (989, 80 * 10**9, cents(55.04, abs=0.04), *dates),
    "H200": (989, 141 * 10**9, cents(63.30, abs=0.04), *dates),
  }


def test_prices_may_be_given():
  (chip,) = chips.named(("v5e",), {"v5e": 1})
  assert chip.dollars_per_hour == 1.0
  assert "gin" in chip.priced_by and chip.price_as_of == ""
  with pytest.raises(ValueError, match="'v7'.*H200"):
    chips.named(("v7",))
  with pytest.raises(ValueError, match="below 0"):
    chips.named(("v5e",), {"v5e": -1.0})
  with pytest.raises(ValueError, match="efficiency"):
    dataclasses.replace(chip, scoring_efficiency=(0.5, 0.4))


def test_hours_and_dollars_are_ranges():
  (chip,) = chips.named(("v5e",), {"v5e": 2.0})
  # One chip-hour at the peak.
  flops = chip.peak_flops * 3600
  found = plan_costs.on_chip(chip, flops, (0.25, 0.5), count=4, memory=FITS)
  assert found["chip_hours"] == [2.0, 4.0]
  assert found["hours"] == [0.5, 1.0]
  assert found["dollars"] == [4.0, 8.0]


@pytest.mark.parametrize(
  "scored, trained, share, runs",
  [(3.0, 10.0, 0.3, 3), (0.5, 10.0, 0.05, 1), (10.0, 24.0, 10 / 24, 5)],
)
def test_amortisation(scored, trained, share, runs):
  found = plan_costs.amortisation(scored, trained)
  assert found["share_of_one_run"] == pytest.approx(share)
  assert found["runs_to_a_tenth"] == runs
  assert scored / (runs * trained) <= 0.1 + 1e-12
  if runs > 1:
    assert scored / ((runs - 1) * trained) > 0.1


def test_the_papers_trade():
  """Flan-T5-XL on 364M windows of 512, against 524B tokens of T5-Large."""
  run = dataclasses.replace(
    planned.TRAINING,
    network=published.t5_1_1(size="large", dtype="bfloat16"),
    steps=1_000_000,
    batch=1024,
    inputs=512,
    targets=114,
  )
  assert run.tokens == pytest.approx(524e9, rel=1e-3)
  judge = published.t5_1_1(size="xl", dtype="bfloat16")
  scored = 364e6 * plan_scoring.flops_of(judge, ((1,),), 512)
  share = plan_costs.amortisation(scored, run.flops.model)
  assert share["share_of_one_run"] == pytest.approx(0.301, abs=5e-4)


def _work(network, rows, length):
  batch = plan_scoring.Batches(1.0, np.ones((rows, length), np.int32))
  return plan_scoring.Work(network, ((1,),), [batch], 1.0, 1.0, 0.0)


def test_figures_of_scoring_and_training():
  batches = [
    plan_scoring.Batches(2.5, np.ones((4, 16), np.int32)),
    plan_scoring.Batches(10.0, np.ones((2, 32), np.int32)),
  ]
  work = plan_scoring.Work(planned.WIDE, ((1,),), batches, 8.0, 6.0, 0.0)
  found = plan_costs.scoring(work, "flan")
  assert (found["judge"], found["flops"], found["steps"]) == ("flan", 8.0, 12.5)
  assert found["padding_share"] == 0.25
  assert found["shapes"] == [
    {"rows": 4, "length": 16, "steps": 2.5},
    {"rows": 2, "length": 32, "steps": 10.0},
  ]
  run = dataclasses.replace(
    planned.TRAINING, network=dataclasses.replace(planned.WIDE, remat="full")
  )
  found = plan_costs.training(run)
  assert found["flops"] == run.flops.model
  assert found["executed_flops"] == run.flops.executed > found["flops"]
  assert found["tokens"] == 16 * 8 * 64


def test_figures_of_this_machine_are_hours():
  scored = plan_calibration.Scoring(7200.0, 1800.0, False, "steps")
  assert plan_costs.here_scoring(scored) == {
    "hours": 2.5,
    "device_hours": 2.0,
    "host_hours": 0.5,
    "overlapped": False,
    "measured": "steps",
  }
  trained = plan_calibration.Training(900.0, "rows")
  assert plan_costs.here_training(trained) == {
    "hours": 0.25,
    "measured": "rows",
  }


def test_a_copy_is_shared_by_as_few_chips_as_hold_it():
  network = dataclasses.replace(planned.WIDE, emb_dim=128, num_heads=8)
  work = _work(network, 8, 64)
  by_one = plan_memory._scoring_formula(network, 8, 64, 1)
  by_two = plan_memory._scoring_formula(network, 8, 64, 2)
  (v5e,) = chips.named(("v5e",))

  def found(memory):
    chip = dataclasses.replace(v5e, memory_bytes=int(memory))
    return plan_memory.scoring(chip, work, compiled=False)

  assert found(2 * by_one) == (by_one, plan_memory.FORMULA, 1, True)
  assert found(by_two / 0.9).model_parallel == 2
  # 8 heads are not shared by 16 chips.
  assert found(10.0).model_parallel == 8
  assert not found(10.0).fits


def test_the_compiler_is_asked_from_where_the_formula_fits():
  (chip,) = chips.named(("v5e",))
  needed = {1: 40e9, 2: 20e9, 4: 10e9, 8: 5e9}
  asked = []

  def compiler(shared):
    asked.append(shared)
    # It needs twice what the formula foresaw.
    return 2.0 * needed[shared]

  network = dataclasses.replace(planned.WIDE, num_heads=8)
  found = plan_memory._least(chip, network, needed.__getitem__, compiler)
  assert asked == [4, 8]
  assert found == (10e9, plan_memory.COMPILED, 8, True)


def test_more_remat_needs_less_memory():
  (chip,) = chips.named(("H200",))

  def needed(remat, microbatches=1):
    run = dataclasses.replace(
      planned.TRAINING,
      network=dataclasses.replace(planned.WIDE, remat=remat),
      microbatches=microbatches,
    )
    return plan_memory.training(chip, run, count=1, compiled=False).bytes

  assert needed("full") < needed("minimal") < needed("none")
  assert needed("none", microbatches=4) < 0.6 * needed("none")


def test_the_formula_knows_what_the_compiler_said_of_the_papers_steps(
  monkeypatch,
):
  """Of small and large on 16 chips (tests/tpu), within a factor of two."""
  counts = {512: 76_961_152, 1024: 783_150_080}
  monkeypatch.setattr(
    plan_memory,
    "parameters",
    lambda network: plan_memory.Parameters(counts[network.emb_dim], 0.0),
  )

  def formula(size, remat, microbatches, shared):
    run = dataclasses.replace(
      planned.TRAINING,
      network=published.t5_1_1(size=size, dtype="bfloat16", remat=remat),
      batch=1024,
      inputs=512,
      targets=114,
      microbatches=microbatches,
    )
    rows = 1024 * shared // 16 // microbatches
    return plan_memory._training_formula(run, rows, shared) / 2**20

  for case, compiled in (
    (("small", "none", 1, 1), 12_200),
    (("large", "full", 4, 1), 12_200),
    (("large", "minimal", 1, 1), 52_600),
  ):
    assert compiled / 2 < formula(*case) < 2 * compiled, case


def test_slices_are_of_chips_that_have_data():
  assert set(topologies.SLICES) < set(chips.NAMES)
  with pytest.raises(topologies.TopologyError, match="v5e, v5p, v6e"):
    topologies.slice_of("H200")


def test_what_the_compiler_refuses_is_no_number():
  (chip,) = chips.named(("v5e",))
  nothing = plan_memory.Memory(math.inf, plan_memory.COMPILED, 16, False)
  found = plan_costs.on_chip(chip, 1.0, (0.5, 0.5), count=1, memory=nothing)
  assert found["memory_bytes"] is None
