# SPDX-License-Identifier: Apache-2.0
"""What a plan prints: each figure of plan.json in its unit."""

from data_efficient.evaluation import chips, plan_costs, plan_memory, plan_text


def _row(chip, hours, gib, shared=1, fits=True):
  memory = plan_memory.Memory(gib * 2**30, plan_memory.FORMULA, shared, fits)
  found = plan_costs.on_chip(chip, 1.0, (0.5, 1.0), count=4, memory=memory)
  return found | {
    "hours": [1.0 * hours, 2.0 * hours],
    "chip_hours": [4.0 * hours, 8.0 * hours],
    "dollars": [40.0 * hours, 80.0 * hours],
  }


def _plan():
  v5e, h100 = chips.named(("v5e", "H100"), {"H100": 2.5})
  share = {"share_of_one_run": 0.3014, "runs_to_a_tenth": 4}
  return {
    "machine": "this machine (1 × cpu)",
    "corpus": {
      "records": {"value": 364e6, "low": 364e6, "high": 364e6},
      "tokens": {"value": 1.84e11, "low": 1.8e11, "high": 1.9e11},
      "source": "a sample",
    },
    "scoring": {
      "judge": "flan_t5",
      "parameters": 2_849_757_184,
      "flops": 4.5e20,
      "padding_share": 0.125,
      "steps": 12_345_678.0,
      "shapes": [{}, {}, {}],
      "chips": [_row(v5e, 12.5, 3), _row(h100, 250, 1.5, shared=2)],
      "this_machine": {"hours": 1234.4, "measured": "3 shapes; whole steps"},
    },
    "training": {
      "parameters": 783_150_080,
      "steps": 1_000_000,
      "batch": 1024,
      "inputs": 512,
      "targets": 114,
      "flops": 1.5e21,
      "executed_flops": 1.8e21,
      "chips": [_row(v5e, 1, 20, fits=False)],
      "this_machine": None,
    },
    "amortisation": {"FLOPs": share},
    "prices": [plan_costs.price(v5e), plan_costs.price(h100)],
    "notes": ["memory is by formula"],
  }


def test_each_figure_in_its_unit():
  lines = [
    " ".join(line.split()) for line in plan_text.text(_plan()).split("\n")
  ]
  assert lines[0] == (
    "corpus: 364M records, 184B [180B, 190B] tokens (a sample)"
  )
  assert lines[2] == (
    "scoring by flan_t5, 2.85B parameters: 4.5e+20 FLOPs, 12.5% of them for "
    "padding; 12.35M steps of 3 shapes"
  )
  assert lines[3].startswith("chips hours chip-hours US$ GiB a chip")
  assert lines[4] == ("v5e 4 12.5 – 25 50 – 100 500 – 1,000 3.0 formula")
  assert lines[5] == (
    "H100 4 250 – 500 1,000 – 2,000 10,000 – 20,000 1.5 (2 share) formula"
  )
  assert lines[6:8] == [
    "this machine (1 × cpu) 1,234",
    "this machine (1 × cpu): 3 shapes; whole steps",
  ]
  assert lines[9] == (
    "one training run, 783.2M parameters: 1,000,000 steps × 1,024 × "
    "(512 + 114) tokens, 1.5e+21 FLOPs, and 20.0% more by remat"
  )
  assert lines[11].endswith("20.0 formula: does not fit")
  assert lines[12].startswith("does not fit: v5e;")
  assert lines[14] == (
    "scoring is 0.301 of one training run by FLOPs; a tenth of the training "
    "after 4 runs"
  )


def test_the_sources_of_a_chips_figures_are_printed_with_their_dates():
  lines = plan_text.text(_plan()).split("\n")
  (v5e,) = (line for line in lines if line.startswith("  v5e: $"))
  assert v5e == (
    "  v5e: $1.20 a chip-hour (Google Cloud, Cloud TPU pricing, a US region, a"
    " chip-hour, 2025-06); 197 TFLOP/s bf16, 16 GiB (Google Cloud"
    " documentation, TPU v5e, 2025-06)"
  )
  (h100,) = (line for line in lines if line.startswith("  H100: $"))
  # A price of one's own has no date, the specification has.
  assert "$2.50 a chip-hour (given in gin (PRICES)); 989 TFLOP/s" in h100
  assert h100.endswith(
    "75 GiB (NVIDIA data sheet, H100 SXM, without sparsity, 2025-06)"
  )
  assert any("stated and not measured" in line for line in lines)
  assert lines[-1] == "Note: memory is by formula"
