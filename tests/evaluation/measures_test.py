# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from data_efficient.evaluation import (
  markdown,
  measures,
  results,
  runs,
  suite_metrics,
)
from data_efficient.evaluation.measures import Better, Kind
from data_efficient.evaluation.runs import EvaluationError
from tests.evaluation import fakes
from tests.evaluation.fakes import write_run


def _row(step, value, field="average", evaluation="glue"):
  return json.dumps({"step": step, "evaluation": evaluation, field: value})


def _suites(values, validation=None, average=None):
  rows = {name: {"value": value} for name, value in values.items()}
  return {
    "results": {
      "averages": rows,
      "categories": {"QA": {"value": 0.25}},
      "average": {"value": average},
    },
    "validation": {
      name: {"value": value} for name, value in (validation or {}).items()
    },
  }


def _write_suites(directory, found, name="suites"):
  (directory / name).mkdir(parents=True)
  (directory / name / "suites.json").write_text(json.dumps(found))


def test_metrics_of_a_run_and_which_way_is_better(tmp_path):
  lines = [_row(step, 0.01 * step) for step in (30, 0, 10, 20)]
  run = runs.read_run(write_run(tmp_path / "a", lines=lines))
  assert run.measures["hq_loss"].better is Better.LOWER
  assert run.measures["hq_accuracy"].better is Better.HIGHER
  glue = run.measures["glue_average"]
  assert glue.better is Better.HIGHER and glue.has_curve
  assert glue.curve.steps.tolist() == [0, 10, 20, 30]
  assert glue.final == pytest.approx(0.2)
  # Lower is better in it, as in a loss.
  assert glue.falling.losses.tolist() == pytest.approx([0, -0.1, -0.2, -0.3])
  loss = run.measures["hq_loss"]
  assert loss.falling.losses.tolist() == loss.curve.losses.tolist()


def test_a_field_of_no_known_direction_is_no_metric(tmp_path):
  lines = [_row(30, 1.0, "loss", "x"), _row(30, 7, "tokens", "hq")]
  lines[1] = json.dumps({**json.loads(lines[1]), "loss": 5.0, "surprise": 1.0})
  run = runs.read_run(write_run(tmp_path / "a", lines=lines))
  assert set(run.measures) == {
    *("hq_loss", "hq_accuracy", "in_distribution_loss"),
    *("in_distribution_accuracy", "x_loss"),
  }


def test_every_metric_of_a_suite_has_a_direction():
  assert set(suite_metrics.METRICS) <= set(measures.DIRECTIONS)


def test_fewer_than_three_evaluations_have_a_final_value_but_no_curve(tmp_path):
  lines = [_row(0, 0.1), _row(30, 0.5)]
  run = runs.read_run(write_run(tmp_path / "a", lines=lines))
  assert run.measures["glue_average"].final == 0.5
  assert not run.measures["glue_average"].has_curve


def test_suites_inside_a_run(tmp_path):
  directory = write_run(tmp_path / "a")
  validation = {f"{directory}/checkpoints/{step}": step for step in (30, 9)}
  found = _suites({"MMLU": 0.5, "QA": 0.75}, validation, average=0.3)
  _write_suites(directory, found)
  read = runs.read_run(directory).measures
  assert read["MMLU"].final == 0.5 and read["MMLU"].kind is Kind.SUITE
  # The suite's own value, not that of the category of its name.
  assert read["QA"].final == 0.75 and read["QA"].kind is Kind.SUITE
  assert read["Average"].kind is Kind.MEAN_OF_SUITES
  assert read["suites_validation"].curve.steps.tolist() == [9, 30]
  assert read["suites_validation"].curve.losses.tolist() == [9, 30]


def test_the_end_is_what_is_reported_of_a_suite_asked_along_the_way(tmp_path):
  directory = write_run(tmp_path / "a")
  values = {10: 0.25, 20: 0.5, 30: 0.75}
  for step, value in values.items():
    _write_suites(directory, _suites({"GLUE": value}), f"glue/{step}")
  # What was fine-tuned has steps of its own, which are not the run's.
  tuned = {f"{directory}/squad/tuned/checkpoints/{n}": n for n in (5, 10)}
  _write_suites(directory, _suites({"SQuAD": 0.5}, tuned), "squad")
  (directory / "squad/suites.json").write_text(
    (directory / "squad/suites.json").read_text().replace('"QA"', '"SQuAD"')
  )
  read = runs.read_run(directory).measures
  assert read["GLUE"].curve.steps.tolist() == list(values)
  assert read["GLUE"].curve.losses.tolist() == list(values.values())
  assert read["GLUE"].has_curve and read["GLUE"].kind is Kind.SUITE
  # Of a loss it would be the mean of the last three.
  assert read["GLUE"].final == 0.75
  assert read["SQuAD"].curve.steps.tolist() == [30]
  assert measures.SUITES_VALIDATION not in read


def test_a_suite_that_was_not_asked_at_the_end_is_named(tmp_path):
  directory = write_run(tmp_path / "a")
  for step in (10, 20):
    _write_suites(directory, _suites({"GLUE": 0.5}), f"glue/{step}")
  with pytest.raises(EvaluationError, match="glue: QA was asked up to step 20"):
    runs.read_run(directory)


def test_when_a_run_is_where_full_ends_by_a_suite(tmp_path):
  found = {
    "full": {10: 0.2, 20: 0.4, 30: 0.6},
    "x": {10: 0.4, 20: 0.8, 30: 0.8},
  }
  for sampler, values in found.items():
    for seed in range(2):
      facts = {"sampler": sampler, "seed": seed}
      facts["budget"] = None if sampler == "full" else 0.6
      directory = write_run(tmp_path / f"{sampler}-{seed}", facts=facts)
      for step, value in values.items():
        asked = _suites({"GLUE": value + 0.1 * seed})
        _write_suites(directory, asked, f"glue/{step}")
  made = results.assemble(
    sorted(tmp_path.iterdir()), **fakes.describe_experiment()
  )
  assert made["target"]["GLUE"] == pytest.approx(0.65)
  rows = {row["sampler"]: row for row in made["samplers"]}
  assert rows["full"]["suites"]["GLUE"]["mean"] == pytest.approx(0.65)
  steps, tokens, seconds = (
    rows["x"]["convergence"]["GLUE"][unit]
    for unit in ("steps", "tokens", "seconds")
  )
  # 0.65 lies between 0.4 and 0.8, and between 0.5 and 0.9.
  means = [10 + 10 * (0.65 - low) / 0.4 for low in (0.4, 0.5)]
  assert steps["reached"] == steps["total"] == 2
  assert steps["restricted_mean"] == pytest.approx(sum(means) / 2)
  assert tokens["restricted_mean"] == pytest.approx(16 * 192 * sum(means) / 2)
  assert seconds["restricted_mean"] == pytest.approx(34.5 * sum(means) / 2 / 30)
  # Of Full's seeds one is never there: 30 steps; the other after 27.5.
  base = (30 + 27.5) / 2
  saved = (30 - means[0] + 27.5 - means[1]) / 2
  assert steps["speedup_mean"] == pytest.approx(saved / base)
  full = rows["full"]["convergence"]["GLUE"]["steps"]
  assert (full["reached"], full["total"]) == (1, 2)
  page = markdown.render(made)
  assert "Until Full's final GLUE" in page


def test_a_suite_that_stands_twice_is_named(tmp_path):
  directory = write_run(tmp_path / "a")
  for name in ("first", "second"):
    _write_suites(directory, _suites({"MMLU": 0.5}), name)
  with pytest.raises(EvaluationError, match="second/suites.json: MMLU, QA st"):
    runs.read_run(directory)


@pytest.mark.parametrize("text", ["{", "[]", '{"results": {}}'])
def test_damaged_suites_are_named(tmp_path, text):
  directory = write_run(tmp_path / "a")
  (directory / "suites.json").write_text(text)
  with pytest.raises(EvaluationError, match="a/suites.json: damaged, or not"):
    runs.read_run(directory)
