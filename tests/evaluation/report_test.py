# SPDX-License-Identifier: Apache-2.0
"""What the report says of results that have everything, before any markup."""

import re
import subprocess
import sys

import pytest

from data_efficient.evaluation import (
  document,
  names,
  page,
  report,
  report_convergence,
  report_outcomes,
  report_paper,
  report_pareto,
  report_runs,
  report_scores,
  report_views,
)
from tests.evaluation import contract

SMALL = ("T5-Small",)
# One section at a time: types are checked at every call in tests, and drawing
# all figures for each of them would take long.
_OF_ALL = {
  "random-missing": report_outcomes.random_missing,
  "paper": report_paper.section,
  "agreement": report_scores.agreement,
  "left-out": report_runs.left_out,
  "reproduce": report_runs.reproduce,
  "configurations": report_runs.configurations,
}
_OF_A_NETWORK = {
  "curves": report_outcomes.curves,
  "samplers": report_outcomes.samplers,
  "convergence": report_convergence.section,
  "pareto": report_pareto.section,
}


def _section(results, key, network=0):
  if key in _OF_ALL:
    return _OF_ALL[key](results)
  return _OF_A_NETWORK[key](report_views.views(results)[network])


def _table(results, section, key=None):
  blocks = _section(results, section).blocks
  tables = {table.key: table for table in document.tables(blocks)}
  return tables[key or section]


def _column(table, title):
  index = table.header.index(title)
  return {row[0].text: row[index] for g in table.groups for row in g.rows}


def test_a_row_must_fit_the_header():
  with pytest.raises(document.DocumentError, match="'k': a row of 1 cells"):
    document.table("c", ["a", "b"], [["x"]], key="k")


def test_the_papers_table_is_grouped_by_size_full_and_random_first():
  results = contract.results(networks=("T5-Large", "T5-Small"))
  # Sizes decide, not the order of the file.
  for network, entry in zip(("L", "S"), results["networks"], strict=True):
    entry["non_embedding_parameters"] = {"L": 25_000_000, "S": 2_100_000}[
      network
    ]
  table = _table(results, "paper")
  assert [group.title for group in table.groups] == [
    "T5-Small (2.1M parameters without embeddings)",
    "T5-Large (25M parameters without embeddings)",
  ]
  for group in table.groups:
    assert [row[0].text for row in group.rows] == [
      "Full data",
      *("Random 40%", "Classifier 40%", "Ask-LLM 40% by stand_in"),
      *("Density 40%", "Random 60%", "Classifier 60%"),
      *("Ask-LLM 60% by stand_in", "Density 60%"),
    ]
  assert table.header[:6] == [
    *("Sampler", "Training tokens", "Over-scaling %, mean of metrics"),
    "Over-scaling %, HQ loss",
    *("In-distribution perplexity", "HQ perplexity"),
  ]
  assert table.header[6:] == [
    *("GLUE", "SuperGLUE", "CNN/DM", "SQuAD", "MMLU", "BBH"),
  ]


@pytest.mark.parametrize(
  ("name", "size", "title"),
  [
    ("T5-Small", 2_100_000, "T5-Small (2.1M parameters without embeddings)"),
    ("3.6M", 2_900_000, "3.6M parameters, 2.9M without embeddings"),
    ("64K", 64_000, "64K parameters"),
    ("unknown network", None, "unknown network"),
  ],
)
def test_networks_are_called_by_their_size_once(name, size, title):
  results = {
    "samplers": [{"network": name}],
    "networks": [{"network": name, "non_embedding_parameters": size}],
  }
  assert report_views.networks(results) == {name: title}


def test_full_and_random_come_first_whatever_the_order_of_the_file():
  results = contract.results(networks=SMALL, budgets=(0.6,))
  results["samplers"].reverse()
  rows = [row[0].text for row in _table(results, "paper").groups[0].rows]
  assert rows[:3] == ["Full data", "Random", "Density"]


def test_cells_have_the_figures_and_their_intervals():
  results = contract.results(networks=SMALL)
  (ask,) = [
    s
    for s in results["samplers"]
    if (s["sampler"], s["budget"]) == ("ask_llm", 0.6)
  ]
  ask["hq_perplexity"] = {"mean": 123.456, "interval": [120.0, 127.0]}
  ask["suites"]["GLUE"] = {"mean": 0.8766, "interval": None}
  ask["over_scaling"] = {"hq_loss": {"mean": 33.04, "interval": [30.0, 36.0]}}
  ask["over_scaling_average"] = {"mean": 8.25, "interval": [4.0, 12.5]}
  table, name = _table(results, "paper"), "Ask-LLM 60% by stand_in"
  cell = _column(table, "Over-scaling %, mean of metrics")[name]
  assert cell == ("8.2", ("4.0 to 12.5",), False)
  assert _column(table, "Training tokens")[name].text == "642,000"
  cell = _column(table, "HQ perplexity")[name]
  assert cell == ("123.46", ("120.00 to 127.00",), True)
  assert _column(table, "GLUE")[name] == ("87.7", (), False)
  cell = _column(table, "Over-scaling %, HQ loss")[name]
  assert cell[:2] == ("33.0", ("30.0 to 36.0",))


def _bold(results, title):
  column = _column(_table(results, "paper"), title)
  return [name for name, cell in column.items() if cell.bold]


def test_the_best_is_bold_only_where_it_is_better_than_random_for_certain():
  results = contract.results(networks=SMALL, budgets=(0.6,))
  rows = {s["sampler"]: s for s in results["samplers"]}
  title = "HQ perplexity"
  assert _bold(results, title) == ["Ask-LLM by stand_in"]
  # Its interval holds 0: no second best takes its place.
  rows["ask_llm"]["against_random"]["hq_loss"]["interval"] = [-0.3, 0.01]
  assert _bold(results, title) == []
  # Another one is best, and certainly so.
  rows["density"]["hq_perplexity"]["mean"] = 1.0
  rows["density"]["against_random"]["hq_loss"]["interval"] = [-0.3, -0.2]
  assert _bold(results, title) == ["Density"]
  # Certainly worse is not better; a best one without an interval is not bold.
  rows["density"]["against_random"]["hq_loss"]["interval"] = [0.2, 0.3]
  assert _bold(results, title) == []
  rows["density"]["against_random"] = None
  assert _bold(results, title) == []


def test_suites_are_bold_by_differences_of_their_own():
  results = contract.results(networks=SMALL, budgets=(0.6,))
  rows = {s["sampler"]: s for s in results["samplers"]}
  assert _bold(results, "GLUE") == []
  rows["ask_llm"]["against_random"]["GLUE"] = {"interval": [0.01, 0.02]}
  assert _bold(results, "GLUE") == ["Ask-LLM by stand_in"]
  # More is better.
  rows["ask_llm"]["against_random"]["GLUE"] = {"interval": [-0.02, -0.01]}
  assert _bold(results, "GLUE") == []


def test_columns_without_figures_are_left_out():
  results = contract.results(networks=SMALL)
  for sampler in results["samplers"]:
    sampler["over_scaling"] = sampler["over_scaling_average"] = None
    del sampler["suites"]
  assert _table(results, "paper").header[2:] == [
    "In-distribution perplexity", "HQ perplexity",
  ]  # fmt: skip


def test_effective_model_sizes_and_reasons():
  results = contract.results()
  section = _section(results, "paper")
  table = _table(results, "paper", "effective-model-size")
  cells = _column(table, "Effective parameters")
  # Full of T5-Small is at 12^0.1 times 2.1M by the formula of the fake.
  assert cells["Full data (T5-Small)"] == ("2.7M", ("1.1M to 9M",), False)
  cell = cells["Ask-LLM 60% by stand_in (T5-Small)"]
  assert cell.under == ("1.1M to –", "extrapolated")
  shares = _column(table, "Share of its own")
  assert shares["Full data (T5-Small)"].text == "128%"
  last = section.blocks[-1].text
  assert last.startswith("No effective model size of Full data (T5-Large), ")
  assert last.endswith(": no larger network was trained.")


def test_convergence_in_percent_of_full():
  results = contract.results(networks=SMALL)
  for sampler in results["samplers"]:
    if (sampler["sampler"], sampler["budget"]) == ("ask_llm", 0.6):
      found = sampler["convergence"]["hq_loss"]
      found["steps"] |= {
        **{"restricted_mean": 168.0, "restricted_interval": [150.0, 186.0]},
        **{"reached": 2, "speedup_mean": 0.44},
        "speedup_interval": [0.3, 0.58],
      }
      found["seconds_with_scoring"] |= {
        **{"restricted_mean": 90.0, "restricted_interval": None},
      }
      found["seconds"] = None
  table = _table(results, "convergence", "convergence-hq-loss")
  name = "Ask-LLM 60% by stand_in"
  assert _column(table, "Reached")[name].text == "2 of 3"
  assert _column(table, "Steps")[name][:2] == (
    "≥ 56%", ("50% to 62%", "168 steps"),
  )  # fmt: skip
  assert _column(table, "Steps saved")[name][:2] == ("≤ 44%", ("30% to 58%",))
  cell = _column(table, "With scoring, paid by each run")[name]
  assert cell[:2] == ("150%", ("no interval", "90 s"))
  assert _column(table, "Training alone")[name].text == "–"


def test_convergence_of_one_seed_claims_no_speedup():
  results = contract.results(networks=SMALL, seeds=(0,))
  for sampler in results["samplers"]:
    for found in sampler["convergence"].values():
      for spread in found.values():
        spread["speedup_interval"] = spread["restricted_interval"] = None
  column = _column(
    _table(results, "convergence", "convergence-hq-loss"), "Steps saved"
  )
  assert {cell.text for cell in column.values()} == {"not shown"}


def test_convergence_without_full_has_absolute_values():
  results = contract.results(networks=SMALL)
  results["samplers"] = [
    s for s in results["samplers"] if s["sampler"] != names.FULL
  ]
  table = _table(results, "convergence", "convergence-hq-loss")
  cell = _column(table, "Training alone")["Random 40%"]
  assert not cell.text.endswith("%")


def test_metrics_but_hq_are_folded():
  section = _section(contract.results(networks=SMALL), "convergence")
  (folded,) = [b for b in section.blocks if isinstance(b, document.Folded)]
  keys = [table.key for table in document.tables(folded.blocks)]
  assert keys == [
    "convergence-in-distribution-loss", "convergence-hq-accuracy",
  ]  # fmt: skip


def test_pareto_points_stand_in_a_table_with_random():
  results = contract.results(networks=SMALL)
  table = _table(results, "pareto", "pareto-data")
  front = _column(table, "On the front")
  assert [name for name, cell in front.items() if cell.text == "yes"] == [
    "Ask-LLM 40% by stand_in", "Ask-LLM 60% by stand_in",
  ]  # fmt: skip
  assert {"Random 40%", "Random 60%", "Full data"} < set(front)
  seconds = _table(results, "pareto", "pareto-accelerator-time")
  assert _column(seconds, "Accelerator time")["Density 40%"].text == "80 s"


def test_points_without_a_time_are_named():
  results = contract.results(networks=SMALL)
  points = results["pareto"]["T5-Small"]["accelerator_time"]
  points[:] = [p for p in points if p["sampler"] != "density"]
  last = _section(results, "pareto").blocks[-1]
  assert last.text.endswith("no accelerator time, of Density 40%, Density 60%.")


def test_kendall_matrix():
  table = _table(contract.results(networks=SMALL), "agreement")
  assert table.header == ["Scorer", "Ask-LLM", "Density", "Classifier"]
  assert [cell.text for cell in table.groups[0].rows[1]] == [
    "Density", "−0.62", "+1.00", "–",
  ]  # fmt: skip


@pytest.fixture(scope="module")
def two_networks():
  """A report of two networks; not to be changed."""
  return report.sections(contract.results(samplers=("random", "ask_llm")), {})


def test_every_network_has_sections_of_its_own_runs(two_networks):
  keys = [section.key for section in two_networks]
  assert len(keys) == len(set(keys))
  for key in ("curves", "samplers", "convergence", "pareto", "cost"):
    assert {key, f"{key}-1"} <= set(keys)
  tables = [table.key for table in document.tables(two_networks)]
  assert len(tables) == len(set(tables))
  tables = {t.key: t for t in document.tables(two_networks)}
  losses = [
    _column(tables[key], "Final HQ loss")["Random 40%"].text
    for key in ("samplers", "samplers-1")
  ]
  assert losses == ["5.060 ± 0.020", "4.660 ± 0.020"]
  runs = tables["runs"]
  assert runs.header[1] == "Network"
  assert {row[1].text for row in runs.groups[0].rows} == {
    "T5-Small", "T5-Large",
  }  # fmt: skip
  assert {row[0].text for row in runs.groups[0].rows} == {
    *("Full data", "Random", "Ask-LLM by stand_in"),
  }


def test_each_network_has_the_target_of_its_own_full_data(two_networks):
  drawn = {section.key: page.html(section.blocks) for section in two_networks}
  for key, target in (("curves", "4.950"), ("curves-1", "4.550")):
    assert f"where the full data ends ({target})" in drawn[key]


def test_the_page_of_two_networks_has_no_identifier_twice(two_networks):
  text = "".join(map(page.html, (section.blocks for section in two_networks)))
  identifiers = re.findall(r' id="([^"]+)"', text)
  assert len(identifiers) == len(set(identifiers)) > 20
  for name in re.findall(r"url\(#([^)]+)\)|labelledby=\"([^\"]+)", text):
    assert "".join(name) in identifiers


def test_random_that_is_missing_is_said():
  results = contract.results()
  assert _section(results, "random-missing") is None
  results["random_missing"] = [
    {"sampler": "dsir", "budget": 0.4, "network": "T5-Large"}
  ]
  section = _section(results, "random-missing")
  assert [e.text for e in section.blocks[1].entries] == ["DSIR 40% (T5-Large)"]


def _configurations(results):
  section = _section(results, "configurations")
  (folded,) = [b for b in section.blocks if isinstance(b, document.Folded)]
  return {f.title: f.blocks[-1].text for f in folded.blocks}


def test_identical_configurations_stand_once_and_others_as_a_difference():
  results = contract.results(networks=SMALL, samplers=("random",))
  found = results["configurations"]
  texts = found["texts"]
  for run in found["runs"]:  # seeds share a text
    run["text"] -= run["text"] % 3
  shown = _configurations(results)
  assert list(shown) == [
    "Configuration 1: Full data, seeds 0, 1, 2",
    "Configuration 4: Random 40%, seeds 0, 1, 2",
    "Configuration 7: Random 60%, seeds 0, 1, 2",
  ]
  first, second, _ = shown.values()
  assert first == texts[0]
  assert "-SAMPLER = 'full'" in second and "+SAMPLER = 'random'" in second
  assert "module.Class" not in second
  # A text of another kind stands in full.
  found["texts"][3] = "something else altogether"
  assert list(_configurations(results).values())[1] == found["texts"][3]


def test_runs_without_a_configuration_are_named():
  results = contract.results(networks=SMALL)
  results["configurations"]["missing"] = ["runs/a", "runs/b"]
  found = _section(results, "configurations").blocks[1].text
  assert found == "2 runs wrote none: runs/a, runs/b."


def test_runs_of_an_unknown_corpus_are_named():
  results = contract.results(networks=SMALL)
  results["corpus_unknown"] = ["old-run"]
  (words,) = _section(results, "left-out").blocks
  assert words.text.endswith("counted all the same: old-run.")


def test_very_many_names_of_runs_are_folded():
  results = contract.results(networks=SMALL)
  results["corpus_unknown"] = [f"run-{number}" for number in range(13)]
  words, folded = _section(results, "left-out").blocks
  assert words.text.endswith("counted all the same.")
  assert folded.blocks[0].entries[12].text == "run-12"


def test_many_curves_are_drawn_a_figure_a_budget():
  results = contract.results(
    networks=SMALL,
    budgets=(0.1, 0.2, 0.4, 0.6),
    seeds=(0,),
    evaluations=4,
  )
  section = _section(results, "curves")
  headings = [b.text for b in section.blocks if isinstance(b, document.Heading)]
  assert headings[0] == "At 10%, beside Full data" and len(headings) == 4


def test_very_many_verdicts_are_folded_by_kind():
  results = contract.results(
    samplers=("random", "ask_llm", "density"),
    budgets=[number / 20 for number in range(1, 8)],
    evaluations=3,
    seeds=(0,),
  )
  section = report_outcomes.verdicts(results)
  folded = [b for b in section.blocks if isinstance(b, document.Folded)]
  assert [f.title for f in folded] == [
    "14 beat Random", "14 are undecided against Random",
  ]  # fmt: skip
  assert [len(f.blocks[0].entries) for f in folded] == [14, 14]


def test_null_everywhere_is_no_number():
  results = contract.results(
    networks=SMALL, samplers=("random", "ask_llm"), budgets=(0.6,)
  )
  for sampler in results["samplers"]:
    for summary in (sampler["hq_perplexity"], *sampler["suites"].values()):
      summary |= {"mean": None, "interval": None}
    for found in sampler["convergence"].values():
      for spread in found.values():
        spread |= {"restricted_mean": None, "speedup_mean": None}
  results["pareto"] = {"T5-Small": {"data": [], "accelerator_time": []}}
  results["agreement"] = None
  results["configurations"] = None
  results["random_missing"] = None
  words = page.render(results, {})
  assert "None" not in words and "nan" not in words


_FIVE_HUNDRED = """
import time
from data_efficient.evaluation import page
from tests.evaluation import contract

results = contract.results(
  networks=("T5-Small",),
  samplers=("random", *(f"sampler_{number}" for number in range(19))),
  budgets=(0.1, 0.2, 0.4, 0.6, 0.8),
  seeds=(0, 1, 2, 3, 4),
  evaluations=40,
  configuration_lines=200,
)
start = time.process_time()
text = page.render(results, {})
seconds = time.process_time() - start
print(len(results["runs"]), seconds, len(text.encode()))
"""


def test_five_hundred_runs_make_a_page_in_a_minute(root):
  # In a process of its own, as the verb runs: without checks of types.
  found = subprocess.run(
    [sys.executable, "-c", _FIVE_HUNDRED],
    cwd=root,
    check=True,
    capture_output=True,
    text=True,
  )
  runs, seconds, size = map(float, found.stdout.split())
  assert runs == 505
  assert seconds < 60
  assert size < 5_000_000
