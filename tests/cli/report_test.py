# SPDX-License-Identifier: Apache-2.0
"""The verb `report`: what it writes beside results.json."""

import json
from unittest import mock
from xml.etree import ElementTree

import pytest

from data_efficient.cli import report
from data_efficient.data import prepared
from data_efficient.evaluation import latex, markdown, page
from tests.evaluation import contract


def _report(root):
  # No selection is there, so that no record is read.
  corpus = mock.Mock(spec=prepared.Prepared)
  report.report(corpus=corpus, experiment=str(root), samplers=None, scores={})


def test_page_markdown_latex_and_curve_of_the_same_results(tmp_path, capsys):
  results = contract.results(
    networks=("T5-Small",), samplers=("random",), budgets=(0.6,), evaluations=3
  )
  (tmp_path / "results.json").write_text(json.dumps(results))
  _report(tmp_path)
  assert {path.name for path in tmp_path.iterdir()} == {
    *("results.json", "index.html", "hq_loss.svg", "report.md", "report.tex"),
  }
  results = json.loads((tmp_path / "results.json").read_text())
  for name, text in {
    "index.html": page.render(results, {}),
    "report.md": markdown.render(results),
    "report.tex": latex.render(results),
  }.items():
    assert (tmp_path / name).read_text() == text
  assert "(hq_loss.svg)" in (tmp_path / "report.md").read_text()
  ElementTree.parse(tmp_path / "hq_loss.svg")
  assert capsys.readouterr().out == f"{tmp_path / 'index.html'}\n"


def test_results_that_were_kept_need_no_corpus(tmp_path):
  results = contract.results(
    networks=("T5-Small",), samplers=("random",), budgets=(0.6,), evaluations=3
  )
  (tmp_path / "results.json").write_text(json.dumps(results))
  # Unreadable, but nobody reads it.
  (tmp_path / "selections/a").mkdir(parents=True)
  (tmp_path / "selections/a/manifest.json").write_text("{")
  report.report(corpus=None, experiment=str(tmp_path), samplers=None, scores={})
  assert "Examples of what" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
  ("data", "words"),
  [
    (None, "No such file"),
    (b"{", "results.json: Expecting property name"),
    (b"\xff", "utf-8"),
    (b"[]", "expected a JSON object, not list"),
    (b'{"steps": 1, "runs": []}', "missing: batch_size, target, samplers"),
  ],
)
def test_no_results_or_damaged_ones_are_told(tmp_path, data, words):
  if data:
    (tmp_path / "results.json").write_bytes(data)
  with pytest.raises(ValueError, match=f"{words}.*`evaluate` first"):
    _report(tmp_path)
  assert not (tmp_path / "index.html").exists()
