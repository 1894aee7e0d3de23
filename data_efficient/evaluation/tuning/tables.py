# SPDX-License-Identifier: Apache-2.0
"""Tables of a comparison of instructions, each a function of results.json."""

from collections.abc import Iterator, Mapping, Sequence

from data_efficient.evaluation import document, names
from data_efficient.evaluation.document import Cell, Table
from data_efficient.evaluation.markup import duration, number, percent, signed
from data_efficient.evaluation.tuning import sentences
from data_efficient.evaluation.tuning.metrics import METRICS

_OTHERS = {"against_random": "Random", "against_full": "Full data"}


def outcomes(results: Mapping) -> Table:
  """Metrics of every use, method and budget; the base first."""
  measured = list(results["metrics"])
  groups = {}
  if results["base"]:
    values = (number(results["base"].get(m)) for m in measured)
    groups["before anything was done"] = [["Base", "", *values, ""]]
  for use, words in sentences.USES.items():
    rows = [row for row in results["rows"] if row["use"] == use]
    if rows:
      groups[words] = [_outcome(row, measured) for row in rows]
  header = ["Selection", "Records", *_titles(measured), "Seeds"]
  caption = (
    "What was measured on the test set: mean ± standard deviation over seeds, "
    "below it how many measurements and the 95% interval."
  )
  return document.grouped(caption, header, groups, key="outcomes")


def _titles(measured: Sequence[str]) -> list[str]:
  return [METRICS[metric].title for metric in measured]


def _outcome(row: Mapping, measured: Sequence[str]) -> list[str | Cell]:
  return [
    sentences.label(row),
    number(row["kept_records"], 0),
    *(_mean(row["metrics"].get(metric)) for metric in measured),
    str(len(row["seeds"])),
  ]


def _mean(summary: Mapping | None) -> str | Cell:
  if not summary:
    return "–"
  spread = f" ± {number(summary['std'])}" if summary["std"] is not None else ""
  under = [f"n = {summary['n']}"]
  if summary["interval"]:
    low, high = summary["interval"]
    under.append(f"{number(low)} to {number(high)}")
  return Cell(f"{number(summary['mean'])}{spread}", tuple(under))


def differences(results: Mapping, other: str) -> Table | None:
  """Every selection less Random at the same budget, or less the full data.

  Args:
    results: of the verb `compare`.
    other: "against_random" or "against_full".
  """
  there = {m for row in results["rows"] for m in row[other]}
  measured = [metric for metric in results["metrics"] if metric in there]
  groups = {}
  for use, words in sentences.USES.items():
    rows = [r for r in results["rows"] if r["use"] == use and r[other]]
    if rows:
      groups[words] = [
        [sentences.label(r), *(_difference(r[other].get(m)) for m in measured)]
        for r in rows
      ]
  if not groups:
    return None
  budget = " at the same budget" if other == "against_random" else ""
  caption = (
    f"Less {_OTHERS[other]}{budget}, paired by seed, with 95% intervals. Bold: "
    "the interval leaves 0 out."
  )
  header = ["Selection", *_titles(measured)]
  return document.grouped(caption, header, groups, key=other.replace("_", "-"))


def _difference(found: Mapping | None) -> str | Cell:
  if not found:
    return "–"
  under = [f"n = {found['n']}"]
  if found["interval"]:
    low, high = found["interval"]
    under.append(f"{signed(low)} to {signed(high)}")
  decided = found["verdict"] != "undecided"
  text = signed(found["mean"])
  if decided:
    under.append(found["verdict"])
  return Cell(text, tuple(under), bold=decided)


def cost(results: Mapping) -> Table:
  """Seconds of selection beside those of training, a row a method."""
  trained = {}
  for row in results["rows"]:
    if row["training_seconds"]:
      trained.setdefault(row["method"], []).append(row["training_seconds"])
  rows = []
  for method, own in results["cost"].items():
    seconds = trained.get(method)
    mean = sum(seconds) / len(seconds) if seconds else None
    total = own["total"]
    share = total / mean if total is not None and mean else None
    stages = ", ".join(
      f"{stage.replace('_', ' ')} {duration(value)}"
      for stage, value in own["stages"].items()
    )
    rows.append(
      [
        names.title(method),
        duration(sum(v for v in own["stages"].values()))
        if None not in own["stages"].values()
        else "–",
        duration(own["selecting"]),
        duration(total),
        duration(mean),
        percent(share),
        stages or "none",
      ]
    )
  header = ["Method", "Stages", "Selecting", "Together", "One training run",
            "Share of it", "Which stages"]  # fmt: skip
  caption = (
    "What a method costs before training, beside one training run (mean over "
    "budgets and seeds), in wall-clock time. A stage that two methods need "
    "stands with both; it was run once."
  )
  return document.table(caption, header, rows, key="cost")


def selected(results: Mapping) -> Table:
  """Sizes, lengths and duplicates of what was selected."""
  found = results["selected"]
  rows = [_selected("the pool", found["pool"])]
  rows += [_selected(sentences.label(row), row) for row in found["rows"]]
  header = ["Selection", "Records", "Tokens", "Tokens a record", "Median",
            "Duplicates"]  # fmt: skip
  caption = (
    "What was selected, means over seeds. Duplicates: records whose prompt, "
    "folded in case, white space and punctuation, an earlier one has too."
  )
  return document.table(caption, header, rows, key="selected")


def _selected(words: str, row: Mapping) -> list[str]:
  return [
    words,
    number(row["records"], 0),
    number(row["tokens"], 0),
    number(row["record_tokens"], 1),
    number(row["median_tokens"], 0),
    number(row["duplicates"], 1),
  ]


def tasks(results: Mapping) -> Table:
  """The tasks that selections consist of."""
  found = results["selected"]
  shown = list(found["pool"]["tasks"])
  extra = {task for row in found["rows"] for task in row["tasks"]} - {*shown}
  shown += sorted(extra)
  columns = [("the pool", found["pool"])]
  columns += [(sentences.label(row), row) for row in found["rows"]]
  rows = [
    [words, *(percent(row["tasks"].get(task, 0.0), 1) for task in shown)]
    for words, row in columns
  ]
  caption = "Shares of the tasks in the records selected, means over seeds."
  return document.table(caption, ["Selection", *shown], rows, key="tasks")


def overlap(results: Mapping) -> Iterator[Table]:
  """Jaccard of every two methods, a table a budget."""
  for found in results["selected"]["overlap"]:
    titles = [names.title(method) for method in found["methods"]]
    rows = [
      [title, *(number(value, 2) for value in row)]
      for title, row in zip(titles, found["jaccard"], strict=True)
    ]
    budget = names.budget_text(found["budget"])
    caption = (
      f"Jaccard of the records selected at {budget}, means over seeds; of a "
      "method with itself, over pairs of its seeds. Two random halves have "
      "0.33, two random tenths 0.05."
    )
    key = f"overlap-{found['budget']:g}"
    yield document.table(caption, ["Method", *titles], rows, key=key)
