# SPDX-License-Identifier: Apache-2.0
import json
import math
import shutil

import pytest

from data_efficient.evaluation import runs
from data_efficient.evaluation.runs import EvaluationError
from tests.evaluation.fakes import COMPARED_BY, write_run


def _compare(directories):
  first, second = map(runs.read_run, directories)
  runs.check_comparable(second, first)


def test_reads_a_run(tmp_path):
  run = runs.read_run(write_run(tmp_path / "a", facts={"sampler": "ask_llm"}))
  assert (run.sampler, run.budget, run.seed, run.steps) == (
    "ask_llm", 0.2, 0, 30
  )  # fmt: skip
  assert run.hq.steps.tolist() == [0, 10, 20, 30]
  assert run.hq.losses.tolist() == [9.0, 7.0, 6.0, 5.0]
  assert run.kept_tokens == 214000


def test_no_budget_is_none(tmp_path):
  run = runs.read_run(write_run(tmp_path / "a", facts={"budget": None}))
  assert run.budget is None


def test_the_later_row_of_a_resumed_run_counts(tmp_path):
  again = {"step": 20, "evaluation": "hq", "loss": 6.5}
  directory = write_run(tmp_path / "a", lines=["", json.dumps(again)])
  run = runs.read_run(directory)
  assert run.hq.losses.tolist() == [9.0, 7.0, 6.5, 5.0]


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "null"])
def test_divergence_is_a_fact(tmp_path, loss):
  line = f'{{"step": 30, "evaluation": "hq", "loss": {loss}}}'
  run = runs.read_run(write_run(tmp_path / "a", lines=[line]))
  assert math.isnan(run.hq.losses[-1])


def test_incomplete_run(tmp_path):
  directory = write_run(tmp_path / "a", facts={"complete": False})
  with pytest.raises(EvaluationError, match="a/run.json.*train again.*resumes"):
    runs.read_run(directory)


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl"])
def test_missing_file(tmp_path, name):
  directory = write_run(tmp_path / "a")
  (directory / name).unlink()
  with pytest.raises(EvaluationError, match=f"a/{name}: no such file.*resumes"):
    runs.read_run(directory)


@pytest.mark.parametrize("line", ['{"step": 30, "eval', "\ufeff{}", "[1, 2]"])
def test_damaged_line_is_named(tmp_path, line):
  directory = write_run(tmp_path / "a", lines=[line])
  with pytest.raises(EvaluationError, match=r"metrics.jsonl, line 10: .*again"):
    runs.read_run(directory)


def test_invalid_utf8_is_named(tmp_path):
  directory = write_run(tmp_path / "a")
  with open(directory / "metrics.jsonl", "ab") as file:
    file.write(b'{"step": "\xff"}\n')
  with pytest.raises(EvaluationError, match="line 10: damaged: 'utf-8'"):
    runs.read_run(directory)


@pytest.mark.parametrize(
  ("line", "message"),
  [
    ('{"evaluation": "hq", "loss": 1}', '"step" is missing'),
    ('{"step": 1.5, "loss": 1}', '"step" is 1.5, expected a whole number'),
    ('{"step": 1, "evaluation": "hq"}', '"loss" is missing'),
    ('{"step": 1, "evaluation": "hq", "loss": "low"}', "\"loss\" is 'low'"),
    ('{"step": 1, "evaluation": 3, "loss": 1}', '"evaluation" is 3'),
  ],
)
def test_wrong_rows_are_named(tmp_path, line, message):
  directory = write_run(tmp_path / "a", lines=[line])
  with pytest.raises(EvaluationError, match="line 10: " + message):
    runs.read_run(directory)


@pytest.mark.parametrize(
  ("facts", "message"),
  [
    ({"seed": "0"}, "\"seed\" is '0', expected a whole number"),
    ({"seed": True}, '"seed" is True'),
    ({"epochs": math.nan}, '"epochs" is nan, expected a finite number'),
    ({"sampler": 3}, '"sampler" is 3, expected text'),
    ({"budget": "20%"}, "\"budget\" is '20%'"),
    ({"compared_by": None}, '"compared_by" is None, expected an object'),
  ],
)
def test_wrong_facts_are_named(tmp_path, facts, message):
  directory = write_run(tmp_path / "a", facts=facts)
  with pytest.raises(EvaluationError, match="run.json: " + message):
    runs.read_run(directory)


def test_missing_evaluation_set(tmp_path):
  curve = [(0, 9.0), (30, 5.0)]
  directory = write_run(tmp_path / "a", evaluations={"hq": curve})
  with pytest.raises(EvaluationError, match='"in_distribution", found .*hq'):
    runs.read_run(directory)


def test_evaluations_that_stop_early(tmp_path):
  curve = [(0, 9.0), (20, 5.0)]
  evaluations = {"hq": curve, "in_distribution": curve}
  directory = write_run(tmp_path / "a", evaluations=evaluations)
  with pytest.raises(EvaluationError, match="end at step 20, .* 30 steps"):
    runs.read_run(directory)


def test_evaluations_at_different_steps(tmp_path):
  evaluations = {
    "hq": [(0, 9.0), (30, 5.0)],
    "in_distribution": [(0, 9.0), (20, 6.0), (30, 5.0)],
  }
  directory = write_run(tmp_path / "a", evaluations=evaluations)
  with pytest.raises(EvaluationError, match="are at different steps"):
    runs.read_run(directory)


def test_unequal_compute_is_refused(tmp_path):
  directories = [
    write_run(tmp_path / "a"),
    write_run(tmp_path / "b", facts={"seed": 1, "batch_size": 8}),
  ]
  with pytest.raises(EvaluationError, match="b: batch_size is 8, .* has 16"):
    _compare(directories)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"network": {"emb_dim": 128, "num_heads": 3}},
      "network.emb_dim: found 128, expected 96",
    ),
    (
      {"task_feature_lengths": {"inputs": 512, "targets": 44}},
      "task_feature_lengths.inputs: found 512, expected 192",
    ),
    ({"vocabulary": "ff"}, 'vocabulary: found "ff", expected "0f"'),
    (
      {"evaluation_sets": {"hq": "9c", "in_distribution": "2b"}},
      'evaluation_sets.hq: found "9c", expected "1a"',
    ),
  ],
)
def test_runs_measured_otherwise_are_refused(tmp_path, change, message):
  facts = {"seed": 1, "compared_by": COMPARED_BY | change}
  directories = [
    write_run(tmp_path / "a"),
    write_run(tmp_path / "b", facts=facts),
  ]
  with pytest.raises(
    EvaluationError, match=f"b and .*a cannot(.|\n)*{message}"
  ):
    _compare(directories)


def test_runs_are_found_by_their_samplers(tmp_path):
  for name in ("random", "density", "ask_llm"):
    write_run(tmp_path / f"{name}-0", facts={"sampler": name})
  (tmp_path / "unfinished").mkdir()
  found = runs.find(tmp_path, None)
  assert [path.name for path in found] == ["ask_llm-0", "density-0", "random-0"]
  found = runs.find(tmp_path, ["random", "ask_llm"])
  assert [path.name for path in found] == ["ask_llm-0", "random-0"]
  with pytest.raises(
    EvaluationError, match="no run of dsir; there are runs of ask_llm, d"
  ):
    runs.find(tmp_path, ["random", "dsir"])


@pytest.mark.parametrize("text", ["{", "[]", '{"sampler": 3}', "{}", "\xff"])
def test_a_damaged_run_is_found_whoever_is_asked_for(tmp_path, text):
  for name in ("random", "density"):
    write_run(tmp_path / f"{name}-0", facts={"sampler": name})
  damaged = write_run(tmp_path / "damaged")
  (damaged / "run.json").write_bytes(text.encode("latin-1"))
  found = runs.find(tmp_path, ["density"])
  assert [path.name for path in found] == ["damaged", "density-0"]
  # It may be the one of a sampler that has no other: it is named later.
  assert [p.name for p in runs.find(tmp_path, ["dsir"])] == ["damaged"]
  shutil.rmtree(damaged)
  with pytest.raises(
    EvaluationError, match="no run of dsir; there .* density,"
  ):
    runs.find(tmp_path, ["dsir"])


def test_too_few_evaluations_for_a_final_loss(tmp_path):
  curve = [(0, 9.0), (30, 5.0)]
  evaluations = {"hq": curve, "in_distribution": curve}
  directory = write_run(tmp_path / "a", evaluations=evaluations)
  with pytest.raises(EvaluationError, match="jsonl: 2 evaluations, expected 3"):
    runs.read_run(directory)


@pytest.mark.parametrize(
  "lengths, tokens",
  [
    ({"inputs": 192, "targets": 44}, 16 * 192),
    ({"targets": 44}, 16 * 44),
    (None, None),
  ],
)
def test_tokens_a_step_are_those_of_the_inputs(tmp_path, lengths, tokens):
  compared_by = COMPARED_BY | {"task_feature_lengths": lengths}
  facts = {"compared_by": compared_by}
  run = runs.read_run(write_run(tmp_path / "a", facts=facts))
  assert run.step_tokens == tokens
