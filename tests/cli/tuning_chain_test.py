# SPDX-License-Identifier: Apache-2.0
"""The jobs of the three uses of DELIFT; nothing is run."""

import pytest

from data_efficient import gin_config
from data_efficient.cli import jobs, quickstart, stages

FILES = {"POOL": "pool/*.jsonl", "TEST": "test.jsonl", "BASE": "llama"}
SMALL = {"SEEDS": (0, 1), "BUDGETS": (0.1, 0.3), "OUTPUT": "out"}
USES = {
  "instruction_tuning": ("delift", {}),
  "task_specific": ("delift_fl2mi", {"TARGETS": "targets.jsonl"}),
  "continual": ("delift_flcg", {"KNOWN": "known.jsonl"}),
}


def _planned(use="instruction_tuning", **bindings):
  values = {**FILES, **SMALL, **USES[use][1], **bindings}
  gin_config.parse(
    [f"gin/runs/{use}.gin"], [f"{k}={v!r}" for k, v in values.items()]
  )
  found = []
  gin_config.configured(quickstart.quickstart)(schedule=found.extend)
  return {job.name: job for job in found}


@pytest.mark.parametrize("use", USES)
def test_every_job_is_a_command_whose_gin_parses(use):
  method, _ = USES[use]
  planned = _planned(use, SEEDS=(0,), BUDGETS=(0.3,))
  assert {f"train_{name}-0" for name in ("full-1", f"{method}-0.3")} <= set(
    planned
  )
  for job in planned.values():
    gin_config.parse(
      job.gin_files, [f"{k}={v!r}" for k, v in job.bindings.items()]
    )
    assert set(job.needs) <= set(planned)


@pytest.mark.parametrize(
  "method", ["length", "selectit", "deft_ucs", "less", "delift_se"]
)
def test_every_baseline_is_commands_whose_gin_parses(method):
  more = {"METHODS": method, "SEEDS": (0,), "BUDGETS": (0.3,), "USES": ()}
  for tuned_by in ((), ("gin/runs/tune_lora.gin",)):
    planned = _planned("task_specific", TUNED_BY=tuned_by, **more)
    assert f"train_{method}-0.3-0" in planned
    for job in planned.values():
      gin_config.parse(
        job.gin_files, [f"{k}={v!r}" for k, v in job.bindings.items()]
      )


def test_sets_are_checked_or_made_before_anything_else():
  first, counts, *_ = _planned("task_specific").values()
  assert first.verb == "split" and counts.needs == [first.name]
  assert first.gin_files == (
    *("gin/runs/check_splits.gin", "gin/runs/check_targets.gin"),
  )
  nothing = {"POOL": None, "TEST": None, "TARGETS": None}
  planned = _planned("task_specific", FILES="all/*.jsonl", **nothing)
  made = planned["split"]
  assert made.gin_files == ("gin/runs/split.gin",)
  assert made.bindings["OUTPUT"] == "out/sets"
  utility = planned["utility_target_utility"].bindings
  assert utility["POOL"] == "out/sets/pool.jsonl"
  assert utility["TARGETS"] == "out/sets/targets.jsonl"
  assert planned["respond_tuned_base"].needs == ["split"]
  with pytest.raises(stages.ChainError, match="POOL, TEST are named, too"):
    _planned(FILES="all/*.jsonl")


def test_runs_are_methods_by_budgets_by_seeds_and_full_once_a_seed():
  planned = _planned()
  trained = {name for name in planned if name.startswith("train_")}
  assert trained == {
    *(f"train_full-1-{seed}" for seed in (0, 1)),
    *(
      f"train_{method}-{budget}-{seed}"
      for method in ("random", "delift")
      for budget in (0.1, 0.3)
      for seed in (0, 1)
    ),
  }
  # The first seed of every method is there before the second of any.
  order = [name for name in planned if name in trained]
  assert [name[-1] for name in order] == ["0"] * 5 + ["1"] * 5


def test_a_selection_reaches_both_uses():
  planned = _planned()
  select = planned["select_delift-0.3-1"]
  assert select.bindings["KERNEL"] == "out/utilities/utility"
  assert select.needs == ["token_counts", "utility_utility"]
  train = planned["train_delift-0.3-1"]
  assert train.bindings["SELECTION"] == select.bindings["OUTPUT"]
  assert train.bindings["INITIAL_CHECKPOINT"] == "llama"
  assert train.bindings["SEED"] == 1 and train.needs == [select.name]
  tuned = planned["respond_tuned_delift-0.3-1"]
  assert tuned.bindings["CHECKPOINT"] == train.bindings["OUTPUT"]
  assert tuned.bindings["JUDGE_CHECKPOINT"] == "llama"
  assert tuned.needs == [train.name]
  shown = planned["respond_in_context_delift-0.3-1"]
  assert shown.bindings["CHECKPOINT"] == "llama"
  assert shown.bindings["EXAMPLES_SELECTION"] == select.bindings["OUTPUT"]
  assert shown.bindings["SHOWN"] == 5 and shown.needs == [select.name]
  assert planned["respond_tuned_base"].bindings["CHECKPOINT"] == "llama"


def test_kernels_are_made_the_way_round_that_each_objective_reads():
  task = _planned("task_specific", METHODS="delift_flmi delift_fl1mi")
  towards = task["utility_target_utility"].bindings
  assert (towards["POOL"], towards["TARGETS"]) == (
    *("pool/*.jsonl", "targets.jsonl"),
  )
  back = task["utility_utility_of_targets"].bindings
  assert (back["POOL"], back["TARGETS"]) == ("targets.jsonl", "pool/*.jsonl")
  known = _planned("continual")["utility_utility_of_known"].bindings
  assert (known["POOL"], known["TARGETS"]) == ("known.jsonl", "pool/*.jsonl")


def test_a_utility_is_measured_for_a_sample():
  planned = _planned(UTILITY_TARGETS=300)
  sample = planned["select_sample"]
  assert sample.bindings["SAMPLE"] == 300
  utility = planned["utility_utility"]
  assert utility.bindings["TARGETS_SELECTION"] == sample.bindings["OUTPUT"]
  assert utility.bindings["JUDGE_CHECKPOINT"] == "llama"


def test_compute_is_equal_or_passes_are():
  steps = _planned()["train_random-0.1-0"]
  assert steps.bindings["STEPS"] == 200 and "EPOCHS" not in steps.bindings
  epochs = _planned(EPOCHS=3)["train_random-0.1-0"]
  assert epochs.bindings["EPOCHS"] == 3 and "STEPS" not in epochs.bindings
  assert "gin/runs/tune_epochs.gin" in epochs.gin_files


def test_budgets_are_of_examples_or_tokens():
  select = _planned()["select_delift-0.1-0"]
  assert select.gin_files[-1] == "gin/selectors/budget_examples.gin"
  select = _planned(BUDGET_UNIT="tokens")["select_delift-0.1-0"]
  assert select.gin_files[-1] == "gin/selectors/budget_tokens.gin"
  with pytest.raises(ValueError, match="'words': expected one of examples"):
    _planned(BUDGET_UNIT="words")


def test_only_what_is_read_is_computed():
  names = set(_planned(METHODS="length", USES=()))
  assert "score_length" in names
  assert not any(n.startswith(("utility", "respond")) for n in names)


def test_the_comparison_is_told_what_each_method_cost():
  planned = _planned(METHODS="delift deft_ucs")
  compare = planned["compare"]
  assert compare.bindings["STAGES"] == {
    **{"full": {}, "random": {}},
    "delift": {"sample": "shortlists/sample", "utility": "utilities/utility"},
    "deft_ucs": {
      "embedding": "scores/embedding",
      "deft_ucs": "scores/deft_ucs",
    },
  }
  assert compare.bindings["HELPED"] == "out/utilities/utility"
  assert planned["report"].needs == ["compare"]
  assert _planned(METHODS="length")["compare"].bindings["HELPED"] is None


@pytest.mark.parametrize(
  "use, bindings, words",
  [
    ("instruction_tuning", {"METHODS": "delft"}, "did you mean delift"),
    (
      "instruction_tuning",
      {"METHODS": "delift_fl2mi"},
      "reads the set 'targets', and nobody named its files: give --gin.TARGETS",
    ),
    ("instruction_tuning", {"TEST": ""}, "reads the set 'test'"),
    ("instruction_tuning", {"USES": ("tuned", "asked")}, "asked unknown"),
    (
      "task_specific",
      {"METHODS": "delift_se_fl2mi"},
      "encoded.*give --gin.ENCODER=DIRECTORY",
    ),
  ],
  ids=["method", "targets", "test", "use", "encoder"],
)
def test_what_is_missing_is_said_before_anything_runs(use, bindings, words):
  with pytest.raises(stages.ChainError, match=words):
    _planned(use, **bindings)


def test_jobs_are_what_the_launchers_take():
  assert all(isinstance(job, jobs.Job) for job in _planned().values())
