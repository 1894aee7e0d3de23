# SPDX-License-Identifier: Apache-2.0
"""What the figures of a comparison of instructions allow to be said.

Each sentence is filled by `results.json` and says no more than its intervals.
"""

from collections.abc import Iterator, Mapping, Sequence

from data_efficient.evaluation import headline, names
from data_efficient.evaluation.markup import number, signed
from data_efficient.evaluation.tuning.metrics import METRICS

USES = {
  "tuned": "tuned on the selection",
  "in_context": "the base, with the nearest of the selection in context",
}
# More selections than this of one verdict, and the lead only counts them.
_NAMED = 6


def label(row: Mapping) -> str:
  """Method and budget."""
  return names.label(row["method"], row["budget"], budgets=2)


def judged(results: Mapping, use: str | None = None) -> list[Mapping]:
  """Rows with a difference to Random in the main metric."""
  return [
    row
    for row in results["rows"]
    if results["main"] in row["against_random"] and use in (None, row["use"])
  ]


def lead(results: Mapping) -> str:
  """The report in one sentence: the first use that stands beside Random."""
  found = judged(results)
  if not found:
    return "No selection stands beside Random at the same budget."
  use, title = found[0]["use"], METRICS[results["main"]].title.lower()
  own = [row for row in found if row["use"] == use]
  parts = []
  for verdict in ("better", "worse", "undecided"):
    some = [r for r in own if _against(results, r)["verdict"] == verdict]
    if some:
      parts.append(f"{verdict}: {_listed(some)}")
  return (
    f"Against Random at the same budget, by {title} ({USES[use]}): "
    f"{'; '.join(parts)}."
  )


def _listed(rows: Sequence[Mapping]) -> str:
  if len(rows) > _NAMED:
    return f"{len(rows)} selections"
  return ", ".join(map(label, rows))


def _against(results: Mapping, row: Mapping) -> Mapping:
  return row["against_random"][results["main"]]


def verdict(results: Mapping, row: Mapping) -> str:
  """A selection against Random, in the main metric."""
  metric, found = METRICS[results["main"]], _against(results, row)
  return (
    f"{found['verdict'].capitalize()} than Random"
    if found["verdict"] != "undecided"
    else "Undecided against Random"
  ) + (
    f", {USES[row['use']]}: {metric.title.lower()} {signed(found['mean'])}"
    f" {headline.bounds_text(found['interval'])},"
    f" {headline.seeds_text(found['n'], paired=True)}."
  )


def length(results: Mapping) -> str:
  """How long runs train: equal compute, or equal passes."""
  rows = [row for row in results["rows"] if row["steps"]]
  if not rows:
    return "No model was tuned."
  steps = {round(row["steps"]) for row in rows}
  epochs = [row["epochs"] for row in rows if row["epochs"]]
  size = results["facts"].get("batch_size")
  each = f" of {size} records" if size else ""
  if len(steps) == 1:
    words = (
      f"Every run takes {number(steps.pop(), 0)} steps{each}: equal compute"
    )
    if not epochs:
      return f"{words}."
    least, most = number(min(epochs), 1), number(max(epochs), 1)
    return f"{words}, {least} to {most} passes over what was selected."
  low, high = number(min(steps), 0), number(max(steps), 0)
  words = f"Runs take {low} to {high} steps{each}"
  if len(epochs) < len(rows):
    return f"{words}: unequal compute."
  least, most = number(min(epochs), 1), number(max(epochs), 1)
  if not _equal_passes(rows):
    return (
      f"{words}, {least} to {most} passes over what was selected: neither the "
      "compute nor the passes are equal."
    )
  return (
    f"{words}: as many passes over each selection ({least}), so that smaller "
    "ones cost less to train."
  )


def _equal_passes(rows: Sequence[Mapping]) -> bool:
  """Whether a step less would leave every run short of the least passes."""
  least = min(row["epochs"] for row in rows)
  return all(
    row["epochs"] * (row["steps"] - 1) / row["steps"] < least for row in rows
  )


def size(results: Mapping) -> str:
  """Of what and of how much the report speaks."""
  pool = results["selected"]["pool"]
  tuned = sum(each["use"] == "tuned" for each in results["outcomes"])
  facts = [
    f"a pool of {number(pool['records'], 0)} records",
    f"{number(results['selected']['tasks'], 0)} tasks",
    f"{tuned} runs" if tuned else "",
    f"{len(results['outcomes']) - tuned} times in context"
    if tuned < len(results["outcomes"])
    else "",
  ]
  return " · ".join(fact for fact in facts if fact)


def lines(results: Mapping) -> Iterator[str]:
  """A line a selection and use, for a terminal: the main metric."""
  metric = results["main"]
  for row in results["rows"]:
    found = row["metrics"].get(metric)
    if found and found["mean"] is not None:
      spread = f" ± {found['std']:.3f}" if found["std"] is not None else ""
      yield (
        f"{row['use']:>10} {row['method']:>15} {row['budget']:.0%}: "
        f"{METRICS[metric].title.lower()} {found['mean']:.3f}{spread} "
        f"({found['n']} seeds)"
      )
