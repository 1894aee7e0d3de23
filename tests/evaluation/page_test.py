# SPDX-License-Identifier: Apache-2.0
import html.parser
import json

import pytest

from data_efficient.evaluation import document, headline, page, tables
from tests.evaluation import fakes

_VOID = {"meta", "br", "hr"}


class _Reader(html.parser.HTMLParser):
  """Checks nesting; collects tags, attributes, identifiers and text."""

  def __init__(self):
    super().__init__()
    self.open, self.tags, self.attributes, self.words = [], [], [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, *pair) for pair in attrs]
    if tag not in _VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if "style" not in self.open:
      self.words.append(data)


def _read(text):
  reader = _Reader()
  reader.feed(text)
  reader.close()
  assert not reader.open
  return reader


@pytest.fixture
def rendered(results, examples):
  # As the report verb sees it: from the file, not from memory.
  return page.render(json.loads(json.dumps(results)), examples)


def test_the_page_is_well_formed(rendered):
  reader = _read(rendered)
  identifiers = [v for _, k, v in reader.attributes if k == "id"]
  assert len(identifiers) == len(set(identifiers))
  for _, key, value in reader.attributes:
    if key == "aria-labelledby":
      assert value in identifiers
  assert reader.tags.count("table") == reader.tags.count("caption")
  assert reader.tags.count("h1") == 1


def test_the_page_needs_no_script_and_no_network(rendered):
  reader = _read(rendered)
  assert not {"script", "link", "img", "iframe"} & set(reader.tags)
  assert not [a for a in reader.attributes if a[1].startswith("on")]
  links = [v for _, k, v in reader.attributes if k in ("href", "src")]
  assert all(link.startswith("#") for link in links)
  policies = [v for _, k, v in reader.attributes if k == "content"]
  assert "default-src 'none'; style-src 'unsafe-inline'" in policies
  assert "url(" not in rendered.replace("url(#clip-", "")
  assert "prefers-color-scheme: dark" in rendered


def test_a_table_names_its_frame_and_headers():
  found = page.table(
    document.grouped(
      "What <it> shows",
      ["a", "b"],
      {"": [["x", "1"]], "G <1>": [["y", document.Cell("2", ("<3",), True)]]},
      key="k",
    )
  )
  assert 'aria-labelledby="table-k"' in found and 'tabindex="0"' in found
  assert '<caption id="table-k">What &lt;it&gt; shows</caption>' in found
  assert '<th scope="row">x</th><td>1</td>' in found
  assert '<th colspan="2" scope="rowgroup" class="group">' in found
  assert "<span>G &lt;1&gt;</span>" in found
  assert '<td><b>2</b><span class="under">&lt;3</span></td>' in found
  assert found.count("<tbody>") == 2


def test_the_page_is_pure(results, examples, rendered):
  assert page.render(results, examples) == rendered


def test_hostile_text_is_shown_and_harmless(rendered):
  assert "<script>" not in rendered and "<b>numpy" not in rendered
  assert "\u202e" not in rendered and "\x1b" not in rendered
  assert "⟦U+202E⟧gnp.exe" in rendered
  assert "A" * 1000 not in rendered
  rendered.encode("utf-8")
  words = " ".join(_read(rendered).words)
  assert "<script>alert('x')</script>" in words


def test_hostile_names_are_harmless(results, examples):
  results["corpus"]["name"] = "<script>1</script>"
  results["corpus"]["sources"]["<script>2</script>"] = 5
  results["command"] = "make '<script>3</script>'"
  results["judge"]["name"] = "<script>4</script>"
  for row in results["runs"] + results["samplers"]:
    if row["sampler"] == "density":
      row["sampler"] = "<script>5</script>"
  examples["<script>6</script>"] = examples.pop("density")
  assert "script" not in _read(page.render(results, examples)).tags


def test_the_stand_in_is_named_wherever_it_judges(rendered):
  words = " ".join(_read(rendered).words)
  assert "Ask-LLM by stand_in" in words
  assert "The prompt carries no knowledge for such a judge" in words
  assert "0.957" in words
  tables = rendered.split("<table>")[1:]
  for table in tables:
    table = table.split("</table>")[0]
    assert table.count("Ask-LLM") == table.count("Ask-LLM by stand_in")


def test_another_judge_is_not_called_a_stand_in(results, examples):
  results["judge"] = {"name": "flan_t5_xl", "auc": {}}
  words = page.render(results, examples)
  assert "Ask-LLM by flan_t5_xl" in words and "stand_in" not in words


def test_every_model_that_is_asked_is_named_once(results):
  kinds = {"ask_llm": "stand_in", "density": "t5_quickstart"}
  results["judge"] |= {"kinds": kinds | {"ask_llm_xl": "flan_t5_xl"}}
  names = [headline.label(results, {"sampler": name}) for name in kinds]
  assert names == ["Ask-LLM by stand_in", "Density by t5_quickstart"]
  assert headline.label(results, {"sampler": "ask_llm_xl"}) == "Ask-LLM XL"
  words = headline.models_text(results)
  assert words.startswith("Ask-LLM asks stand_in. Density asks t5_quickstart.")
  assert "not what a T5 of the paper would keep" in words
  results["judge"] = {"auc": {"DSIR: HQ against the pool": 0.9}, "kinds": {}}
  page_of = page.render(results, {})
  assert "What scores tell apart" in page_of and "The judge" not in page_of


def test_verdicts_by_chance_are_counted(rendered):
  words = " ".join(_read(rendered).words)
  assert "were all 3 samplers of this list no better and no worse" in words
  assert "about 0.2 would be decided" in words
  assert "about 1.3 would" in headline.chance_text(25)


def test_headline_of_very_many_counts_them(results):
  (one,) = [s for s in results["samplers"] if s["sampler"] == "density"]
  results["samplers"] += [one | {"sampler": f"s{n}"} for n in range(9)]
  words = headline.headline(results)
  assert "; 10 selections are undecided" in words and "Density" not in words


def test_headline_says_what_the_intervals_carry(results):
  words = headline.headline(results)
  assert words.startswith("At an equal budget of 20%, judged by HQ loss")
  assert "beat Random; " in words
  assert "Density (" in words and "is undecided" in words
  assert "95% interval −0." in words


def test_headline_of_a_loss(results):
  for sampler in results["samplers"]:
    if sampler["verdict"]:
      sampler["verdict"] = "does_not_beat"
  words = headline.headline(results)
  assert "do not beat Random" in words and "undecided" not in words


def test_headline_of_many_comparisons_names_them_only(results):
  results["samplers"] += [
    s | {"budget": 0.4} for s in results["samplers"] if s["budget"]
  ]
  words = headline.headline(results)
  assert words.startswith("At an equal budget of 20% and 40%, judged by")
  assert "Ask-LLM 20% by stand_in, Classifier 20%, Ask-LLM 40%" in words
  assert "interval" not in words


def test_headline_without_random(results):
  for sampler in results["samplers"]:
    sampler["verdict"] = sampler["against_random"] = None
  assert "cannot say what selection bought" in headline.headline(results)


def test_worse_in_distribution_loss_is_said(results, rendered):
  (ask,) = [s for s in results["samplers"] if s["sampler"] == "ask_llm"]
  words = headline.in_distribution_text(results, ask)
  assert "in-distribution loss got worse, +0.1" in words
  assert words in " ".join(_read(rendered).words)
  ask["against_random"]["in_distribution_loss"] |= {
    "mean": -0.2, "interval": [-0.3, -0.1]
  }  # fmt: skip
  assert "got better" in headline.in_distribution_text(results, ask)


@pytest.mark.parametrize(
  ("speedup", "expected"),
  [
    (
      {"mean": None, "interval": None, "reached": 1, "total": 2},
      "none: 1 of 2 seeds reached the full data",
    ),
    (
      {"mean": 0.4, "interval": None, "reached": 1, "total": 1},
      "not shown: no interval from 1 seed",
    ),
    (
      {"mean": 0.4, "interval": [0.3, 0.5], "reached": 2, "total": 2},
      "40% (95% interval 30% to 50%, 2 seeds)",
    ),
  ],
)
def test_no_speedup_without_seeds_and_interval(speedup, expected):
  assert headline.speedup_text(speedup) == expected


def test_one_seed_shows_no_speedup_anywhere(results):
  for sampler in results["samplers"]:
    sampler["speedup"] |= {
      "mean": 0.7777, "interval": None, "reached": 1, "total": 1
    }  # fmt: skip
  rendered = page.html([tables.samplers(results)])
  assert "not shown" in rendered and "no interval, 1 seed" in rendered
  assert "78%" not in rendered


def test_a_bare_page(tmp_path):
  from data_efficient.evaluation import results as results_module

  directory = fakes.write_run(tmp_path / "only")
  results = results_module.assemble(
    [directory],
    judge={},
    scoring_seconds={},
    corpus={},
    selections={},
    command="make",
    commit="abc",
  )
  rendered = page.render(results, {})
  _read(rendered)
  assert "There is no run on the full data" in rendered
  assert "cannot say what selection bought" in rendered
  assert "None" not in rendered and "nan" not in " ".join(_read(rendered).words)
