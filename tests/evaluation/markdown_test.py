# SPDX-License-Identifier: Apache-2.0
"""Markdown is read back by an independent parser of GitHub's dialect."""

import copy
import html.parser
import os
import pathlib

import markdown_it
import pytest

from data_efficient.evaluation import document, latex, markdown, page
from tests.evaluation import contract, fakes

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
HOSTILE = (
  "<script>alert(1)</script> a|b `c` *d* _e_ [f](g) ![h](i) $j$ ~~k~~ \\ "
  "&amp; # l\n\n## m\n1. n\n| o | p |\u202e"
)


class _Text(html.parser.HTMLParser):
  """Text of HTML; tags are collected."""

  def __init__(self):
    super().__init__()
    self.words, self.tags = [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)

  def handle_data(self, data):
    self.words.append(data)


def _read(text):
  """Tags and words of Markdown as a parser renders it, raw HTML allowed."""
  parser = markdown_it.MarkdownIt("commonmark", {"html": True})
  reader = _Text()
  reader.feed(parser.enable(["table", "strikethrough"]).render(text))
  return reader.tags, "".join(reader.words)


@pytest.fixture(scope="module")
def results():
  """Small, with everything; not to be changed."""
  return contract.results(
    samplers=("random", "ask_llm", "density"),
    budgets=(0.6,),
    seeds=(0, 1),
    evaluations=4,
    configuration_lines=1,
  )


@pytest.mark.parametrize(
  "text",
  [HOSTILE, *("- a", "+ a", "12. a", "# a", "= a", "> a", "---", "==", "1)")],
)
def test_escaped_text_is_shown_as_it_is(text):
  tags, words = _read(markdown.escape(text))
  assert tags == ["p"]
  shown = " ".join(text.replace("\u202e", "⟦U+202E⟧").split())
  assert words.strip() == shown


@pytest.mark.parametrize("text", ["5.040 ± 0.020", "+0.12", "-0.1", "a - b"])
def test_numbers_stay_legible(text):
  assert markdown.escape(text) == text


def test_a_cell_does_not_leave_its_table():
  table = document.table(
    "c", [HOSTILE, "b"], [[HOSTILE, document.Cell("2", (HOSTILE,))]], key="k"
  )
  tags, words = _read(markdown.table(table))
  assert tags == [
    *("table", "thead", "tr", "th", "th"),
    *("tbody", "tr", "td", "td", "br"),
  ]
  assert words.count("a|b `c` *d*") == 3


def test_groups_and_bold_cells():
  rows = {"G": [["x", document.Cell("1", ("0 to 2",), True)]], "": [["y", "2"]]}
  text = markdown.table(document.grouped("c", ["a", "b"], rows, key="k"))
  assert text.splitlines() == [
    "| a | b |",
    "| --- | ---: |",
    "| **G** |  |",
    "| x | **1**<br>0 to 2 |",
    "| y | 2 |",
  ]


def test_all_three_say_the_same(results):
  found = markdown.render(results)
  tags, words = _read(found)
  shown = _Text()
  shown.feed(page.render(results, {}))
  assert tags.count("table") == shown.tags.count("table")
  tables = latex.render(results)
  assert tables.count(r"\toprule") == tags.count("table")
  for text in ("4.950 ± 0.020", "2.1M parameters", "Ask-LLM by stand_in"):
    assert text in words
    assert latex.escape(text) in tables


def test_configurations_stand_on_the_page_alone(results):
  assert "module.Class" in page.render(results, {})
  text = markdown.render(results)
  assert "16 runs, 16 configurations" in text
  assert "module.Class" not in text and "Configuration 2" not in text


def test_hostile_names_stay_names(results):
  changed = copy.deepcopy(results)
  for row in changed["samplers"] + changed["runs"]:
    if row["sampler"] == "density":
      row["sampler"] = HOSTILE
  changed["command"] = HOSTILE
  before, _ = _read(markdown.render(results))
  after, words = _read(markdown.render(changed))
  assert "script" not in after
  assert after.count("h2") == before.count("h2")
  assert after.count("tr") == before.count("tr")
  assert "<script>" in words


@pytest.mark.parametrize("kind", ["md", "tex"])
def test_tables_are_the_reviewed_ones(results, kind):
  render = {"md": markdown.render, "tex": latex.render}[kind]
  path, text = GOLDEN / f"report.{kind}", render(results)
  if os.environ.get("UPDATE_GOLDEN"):
    path.write_text(text)
  assert text == path.read_text(), f"{path}: review, then UPDATE_GOLDEN=1"


def test_old_results_have_no_new_sections(run_directories):
  from data_efficient.evaluation import results as results_module

  found = results_module.assemble(
    run_directories, **fakes.describe_experiment()
  )
  old = {
    key: value
    for key, value in found.items()
    if key not in ("pareto", "agreement", "configurations", "networks")
  }
  for sampler in old["samplers"]:
    for key in list(sampler):
      if key.endswith("perplexity") or key in (
        "convergence", "over_scaling", "over_scaling_average",
        "effective_model_size", "network",
      ):  # fmt: skip
        del sampler[key]
  text = markdown.render(old)
  assert "## Samplers" in text
  for title in ("The paper's table", "Quality against cost", "How soon"):
    assert title not in text
