# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison of instructions, composed from results.json."""

from collections.abc import Mapping

from data_efficient.evaluation import document, headline, names
from data_efficient.evaluation.document import (
  Code,
  Entry,
  Figures,
  Folded,
  Heading,
  Listing,
  Paragraph,
  Report,
  Section,
)
from data_efficient.evaluation.markup import signed
from data_efficient.evaluation.tuning import curves, sentences, tables

TITLE = "What selecting instructions bought"
_NEEDED = (
  *("metrics", "main", "base", "rows", "outcomes", "cost", "stages"),
  *("selected", "same_task", "helped", "facts", "left_out", "command"),
  "commit",
)
# More verdicts than this are folded.
_VERDICTS = 18
# Their style classes on the page.
_KINDS = {"better": "beats", "worse": "does_not_beat", "undecided": "undecided"}


class ReportError(ValueError):
  """Results that no report can be made of."""


def check(results: Mapping) -> None:
  """Raises ReportError for what is no results.json of the verb `compare`."""
  missing = [key for key in _NEEDED if key not in results]
  if missing:
    raise ReportError(f"these keys are missing: {', '.join(missing)}")


def composed(results: Mapping) -> Report:
  """The report.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
  """
  found = [
    _verdicts(results),
    _quality(results),
    _differences(results),
    _cost(results),
    _selected(results),
    _helped(results),
    _left_out(results),
    _reproduce(results),
  ]
  return Report(
    title=TITLE,
    lead=sentences.lead(results),
    size=sentences.size(results),
    sections=[section for section in found if section],
    figures="quality",
    picture=("Quality against the kept fraction", "quality.svg"),
  )


def _verdicts(results: Mapping) -> Section | None:
  found = sentences.judged(results)
  if not found:
    return None
  entries = [
    Entry(
      sentences.verdict(results, row),
      label=sentences.label(row),
      kind=_KINDS[row["against_random"][results["main"]]["verdict"]],
    )
    for row in found
  ]
  blocks: list = [Listing(entries, kind="verdicts")]
  if len(entries) > _VERDICTS:
    blocks = [Folded(f"{len(entries)} selections against Random", blocks)]
  chance = Paragraph(headline.chance_text(len(found)), soft=True)
  return Section("", [*blocks, chance], key="verdicts")


def _quality(results: Mapping) -> Section:
  blocks: list = [Paragraph(sentences.length(results))]
  uses = [
    u for u in sentences.USES if any(r["use"] == u for r in results["rows"])
  ]
  for use in uses:
    drawn = [curves.quality(results, use, m) for m in results["metrics"]]
    drawings = [drawing for drawing in drawn if drawing]
    if drawings:
      if len(uses) > 1:
        blocks.append(Heading(sentences.USES[use].capitalize()))
      blocks.append(Figures(drawings))
  blocks.append(tables.outcomes(results))
  return Section("Quality against the kept fraction", blocks, key="quality")


def _differences(results: Mapping) -> Section | None:
  found = [
    tables.differences(results, o) for o in ("against_random", "against_full")
  ]
  there = [table for table in found if table]
  if not there:
    return None
  words = (
    "Runs of one seed share the base and the order of batches as far as they "
    "can, so differences are taken seed by seed. With few seeds an interval is "
    "wide; one that holds 0 decides nothing. In context, a method that does "
    "not depend on its seed is one measurement."
  )
  return Section("Paired differences", [Paragraph(words), *there], key="paired")


def _cost(results: Mapping) -> Section | None:
  if not results["cost"]:
    return None
  return Section(
    "Selection beside training", [tables.cost(results)], key="cost"
  )


def _selected(results: Mapping) -> Section:
  return Section(
    "What was selected",
    [
      tables.selected(results),
      Folded("Tasks", [tables.tasks(results)]),
      *tables.overlap(results),
    ],
    key="selected",
  )


def _helped(results: Mapping) -> Section | None:
  found = results["helped"]
  if not found:
    return None
  words = (
    "Records, from the one that an example helps most to the one that none "
    "helps much, each with the examples of greatest utility: how much nearer "
    "the model comes to its answer with the example before it (DELIFT, arXiv "
    "2411.04425). Texts are trimmed; characters that cannot be seen are shown "
    "by their code."
  )
  blocks: list = [Paragraph(words, soft=True), *_same_task(results)]
  for number, each in enumerate(found, 1):
    target, own = each["target"], []
    if target:
      own += [Paragraph(_where(target)), Code(_text(target))]
    for example in each["by"]:
      utility = f"Utility {signed(example['utility'], 4)}"
      if "prompt" in example:
        own += [Paragraph(f"{utility} · {_where(example)}")]
        own += [Code(_text(example))]
      else:
        own.append(Paragraph(f"{utility} · a record of other files"))
    task = target["task"] if target else "a record of other files"
    blocks.append(Folded(f"{number}. {task}", own))
  return Section("What helps a chosen record most", blocks, key="helped")


def _same_task(results: Mapping) -> list[Paragraph]:
  found = results["same_task"]
  if found is None:
    return []

  def said(name: str) -> str:
    value, interval = found[name]["value"], found[name]["interval"]
    words = signed(value, 4)
    if interval:
      words += f" ({signed(interval[0], 4)} to {signed(interval[1], 4)})"
    return words

  return [
    Paragraph(
      f"Examples of a record's own task have a mean utility of {said('same')}, "
      f"those of other tasks {said('other')}: a difference of "
      f"{said('difference')}, with 95% intervals over {found['targets']:,} "
      f"records; {found['helped']:.0%} are helped more by their own task. "
      "Where the difference is not above 0, the model cannot use examples, and "
      "utilities say nothing."
    )
  ]


def _where(record: Mapping) -> str:
  chosen = ", ".join(map(names.title, record["chosen_by"])) or "no method"
  return f"{record['task']} · chosen by {chosen}"


def _text(record: Mapping) -> str:
  return f"{record['prompt']}\n→ {record['response']}"


def _left_out(results: Mapping) -> Section | None:
  left = results["left_out"]
  if not left:
    return None
  words = f"No figure of this page counts {len(left)} of the directories:"
  entries = [
    Entry(each["reason"], label=each["directory"] + ": ") for each in left
  ]
  return Section(
    "Left out", [Paragraph(words), Listing(entries)], key="left-out"
  )


def _reproduce(results: Mapping) -> Section:
  facts = {
    "command": results["command"],
    "commit": results["commit"],
    **results["facts"],
  }
  words = (
    "Every figure of this page stands in results.json beside it and is "
    "recomputed from the files of the selections, runs and responses."
  )
  return Section(
    "How to reproduce",
    [Paragraph(words), *document.facts({k: v for k, v in facts.items() if v})],
    key="reproduce",
  )
