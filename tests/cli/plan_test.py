# SPDX-License-Identifier: Apache-2.0
"""`plan` by the command line: it reads a sample, and needs no checkpoint."""

import json
import re
import shlex

import pytest

from data_efficient import gin_config, main
from data_efficient.data import preprocessors, vocabularies
from data_efficient.evaluation import chips, plan_calibration, plan_memory
from tests.evaluation import planned

SMALL = {"JUDGE_SIZE": "small", "MODEL_SIZE": "small"}


@pytest.fixture(autouse=True)
def by_formula(monkeypatch):
  """Whatever is installed: compiling for TPUs is what `make tpu` tests."""
  monkeypatch.setattr(plan_memory, "compiler", lambda: False)


def _plan(output, *files, **bindings):
  code = main.main(
    ["plan", *(f"--gin_file={name}" for name in files)]
    + [
      f"--gin.{name}={value!r}"
      for name, value in {"OUTPUT": str(output), **bindings}.items()
    ]
  )
  return code, (
    json.loads((output / "plan.json").read_text()) if code == 0 else None
  )


def test_the_papers_plan_needs_no_file(tmp_path, capsys):
  code, plan = _plan(tmp_path, "gin/runs/plan_paper.gin", **SMALL)
  assert code == 0
  assert plan["corpus"]["records"]["value"] == 364e6
  assert plan["training"]["tokens"] == pytest.approx(524e9, rel=1e-3)
  assert [row["chip"] for row in plan["scoring"]["chips"]] == [
    *("v5e", "v5p", "v6e", "H100", "H200"),
  ]
  assert plan["scoring"]["this_machine"] is None
  for work in ("scoring", "training"):
    for row in plan[work]["chips"]:
      low, high = row["dollars"]
      assert 0 < low < high
      assert row["memory_source"] == "formula"
  for work, spent, efficiency in (
    ("scoring", "flops", "scoring_efficiency"),
    ("training", "executed_flops", "training_efficiency"),
  ):
    for row, chip in zip(plan[work]["chips"], chips.CHIPS, strict=True):
      at_peak = plan[work][spent] / chip.peak_flops / 3600
      low, high = getattr(chip, efficiency)
      assert row["efficiency"] == [low, high]
      assert row["chip_hours"] == pytest.approx([at_peak / high, at_peak / low])
  text = capsys.readouterr().out
  assert "364M records, 184B tokens (stated)" in text
  assert "by formula" in text and "upper bound" in text
  shares = plan["amortisation"]
  # Remat's products are paid, and counted apart.
  assert (
    shares["FLOPs"]["share_of_one_run"]
    > shares["FLOPs with remat's"]["share_of_one_run"]
  )
  assert re.search(r"scoring is 0\.\d+ of one training run by FLOPs;", text)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  """Gin macros of a corpus of files and of a vocabulary."""
  directory = tmp_path_factory.mktemp("corpus")
  words = "what a plan reads is a part of all that there is yes no".split()
  texts = [
    " ".join(words[(number * 7 + at) % len(words)] for at in range(len(text)))
    for number, text in enumerate(planned.texts(90))
  ]
  for shard in range(3):
    rows = [json.dumps({"text": text}) for text in texts[shard::3]]
    (directory / f"{shard}.jsonl").write_text("\n".join(rows) + "\n")
  model = vocabularies.cached(
    {"test": 1}, texts, directory / "vocabulary", pieces=290
  )
  return {
    "FILES": str(directory / "*.jsonl"),
    "PREPARED": str(directory / "prepared"),
    "VOCABULARY_FILE": str(model),
  }


@pytest.fixture
def half_a_second_a_step(monkeypatch):
  """Nothing is compiled: plan_calibration_test.py does it for real."""
  for name, found in (
    ("_timed", lambda step, clock: 0.5),
    ("_step", lambda run, mesh, clock: 0.5),
    ("_random", lambda judge, network: judge),
  ):
    monkeypatch.setattr(plan_calibration, name, found)


def test_a_corpus_is_planned_and_calibrated(
  tmp_path, capsys, files, half_a_second_a_step
):
  code, plan = _plan(
    tmp_path,
    "gin/runs/plan.gin",
    "gin/data/files.gin",
    "gin/data/vocabulary_file.gin",
    "gin/models/t5_1_1_tiny.gin",
    **files,
    JUDGE_SIZE="small",
    JUDGE_DTYPE="float32",
    CHIPS=("v5e",),
    CHIP_COUNT=4,
    PRICES={"v5e": 0.5},
    STEPS=1000,
    BATCH_SIZE=8,
    LENGTH=32,
    TARGETS=8,
    CALIBRATION_SECONDS=10**6,
  )
  assert code == 0
  assert plan["corpus"]["records"]["value"] == 90
  assert plan["corpus"]["sampled_records"] == 90
  assert plan["scoring"]["judge"] == "flan_t5"
  assert plan["scoring"]["parameters"] == 76_961_152
  assert 0 < plan["scoring"]["padding_share"] < 1
  here = plan["scoring"]["this_machine"]
  steps = plan["scoring"]["steps"]
  assert here["device_hours"] == pytest.approx(steps * 0.5 / 3600)
  both = here["device_hours"] + here["host_hours"]
  assert here["hours"] == pytest.approx(both)
  assert plan["training"]["this_machine"]["hours"] == 1000 * 0.5 / 3600
  (row,) = plan["scoring"]["chips"]
  assert row["dollars"] == [hours * 0.5 for hours in row["chip_hours"]]
  shares = plan["amortisation"]["hours of this machine"]
  trained = plan["training"]["this_machine"]["hours"]
  assert shares["share_of_one_run"] == pytest.approx(both / trained)
  text = capsys.readouterr().out
  assert "this machine (1 × cpu)" in text and "given in gin" in text


def test_mistakes_are_told(tmp_path, capsys):
  code, _ = _plan(tmp_path, "gin/runs/plan_paper.gin", **SMALL, CHIPS=("v99",))
  assert code == 2 and "no chip 'v99'" in capsys.readouterr().err
  code, _ = _plan(tmp_path, "gin/runs/plan_paper.gin", **SMALL, CHIP_COUNT=0)
  assert code == 2 and "CHIP_COUNT" in capsys.readouterr().err


def test_the_targets_of_plans_are_those_of_span_corruption():
  lengths = preprocessors.corruption_lengths(
    512, noise_density=0.15, mean_span_length=3.0
  )
  assert lengths.targets == 114


def test_the_readmes_commands_parse(root):
  text = (root / "README.md").read_text().replace("\\\n", " ")
  lines = re.findall(r"python -m data_efficient plan (.*)", text)
  assert len(lines) == 2
  for line in lines:
    words = shlex.split(line)
    gin_config.parse(
      [w.split("=", 1)[1] for w in words if w.startswith("--gin_file=")],
      [w[len("--gin.") :] for w in words if w.startswith("--gin.")],
    )
    assert "plan.chip_names" in gin_config.resolved()
