# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison of instructions: what it says, and how soon."""

import copy
import json

import pytest

from data_efficient.evaluation import latex, markdown, page
from data_efficient.evaluation import results as result_files
from data_efficient.evaluation.tuning import curves, report, sentences
from tests.evaluation import tuned, tuning_test


@pytest.fixture(scope="module")
def results(tmp_path_factory):
  made = tuned.small(tmp_path_factory.mktemp("tuned"))
  path = made.root / "results.json"
  result_files.write(path, tuning_test._results(made))
  return json.loads(path.read_text())


@pytest.fixture
def changed(results):
  return copy.deepcopy(results)


def test_every_figure_of_the_page_is_in_all_three_forms(results):
  found = report.composed(results)
  texts = {
    "page": page.write(found),
    "markdown": markdown.write(found),
    "latex": latex.write(found.sections),
  }
  for kind, text in texts.items():
    for figure in ("2.300", "2.500", "DELIFT", "3.500"):
      assert figure in text, (kind, figure)
  assert texts["page"] == page.write(report.composed(results))
  for text in ("2.052 to 2.548", "33 s", "330%", "were all 2 samplers"):
    assert text in texts["page"]


def test_the_lead_says_no_more_than_the_interval(results, changed):
  assert "undecided: DELIFT 40%" in sentences.lead(results)
  row = _row(changed, "tuned", "delift")
  row["against_random"]["loss"] |= {
    **{"interval": [-0.3, -0.1], "verdict": "better"},
  }
  assert "better: DELIFT 40%" in sentences.lead(changed)
  for each in changed["rows"]:
    each["against_random"] = {}
  assert "No selection stands beside Random" in sentences.lead(changed)


def _row(results, use, method):
  (row,) = [
    row
    for row in results["rows"]
    if (row["use"], row["method"]) == (use, method)
  ]
  return row


def test_equal_compute_and_equal_passes_are_told_apart(results, changed):
  assert "4 steps of 2 records: equal compute" in sentences.length(results)
  row = _row(changed, "tuned", "full")
  row["steps"] = 10
  words = sentences.length(changed)
  assert "4 to 10 steps" in words and "as many passes" in words
  # A step less of its ten, and it would have 1.98 passes, or 2.025.
  row["epochs"] = 2.2
  assert "as many passes" in sentences.length(changed)
  row["epochs"] = 2.25
  words = sentences.length(changed)
  assert "2.0 to 2.2 passes" in words and "neither" in words
  row["epochs"] = None
  assert "10 steps of 2 records: unequal compute" in sentences.length(changed)


def test_what_is_left_out_is_named(results, changed):
  assert "Left out" not in page.write(report.composed(results))
  changed["left_out"] = [{"directory": "runs/x", "reason": "damaged <b>"}]
  text = page.write(report.composed(changed))
  assert "runs/x: </b>damaged &lt;b&gt;" in text


def test_hostile_text_is_harmless(results, changed):
  target = changed["helped"][0]["target"]
  target |= {"task": "<script>", "prompt": "\u202e<img src=x>"}
  for row in changed["rows"]:
    if row["method"] == "delift":
      row["method"] = "<script>alert(1)</script>"
  text = page.write(report.composed(changed))
  assert "<script" not in text and "<img" not in text
  assert "⟦U+202E⟧&lt;img" in text
  latex.write(report.composed(changed).sections)


def test_what_helps_a_record_is_shown_with_its_utility(results):
  text = page.write(report.composed(results))
  assert "Utility +0.1250" in text and "Utility −0.5000" in text
  assert "chosen by DELIFT" in text and "a record of other files" in text


def test_a_figure_has_a_mark_a_budget_and_a_line_for_full(results):
  drawing = curves.quality(results, "tuned", "loss")
  assert drawing.count('<circle r="4"') + drawing.count("<circle") >= 2
  assert ">Full<" in drawing and ">base<" not in drawing  # outside the frame
  assert "3.500" in drawing  # but in the caption
  assert curves.quality(results, "in_context", "watched_loss") is None
  assert curves.picture(results).startswith("<svg")


def test_a_run_that_diverged_has_no_mark(changed):
  row = _row(changed, "tuned", "delift")
  row["metrics"]["loss"] |= {"mean": None, "std": None, "interval": None}
  drawing = curves.quality(changed, "tuned", "loss")
  assert "DELIFT" not in drawing and "Random" in drawing
  assert "–" in page.write(report.composed(changed))


def test_lines_for_a_terminal(results):
  lines = list(sentences.lines(results))
  assert len(lines) == len(results["rows"])
  assert "delift 40%: loss on answers 2.300 ± 0.100 (3 seeds)" in lines[2]


def test_results_of_something_else_are_refused():
  with pytest.raises(report.ReportError, match="missing: metrics, main"):
    report.check({"kind": "tuning"})
