# SPDX-License-Identifier: Apache-2.0
"""Sections of the report: the runs, their configurations, what was left out."""

import difflib
from collections.abc import Mapping, Sequence

from data_efficient.evaluation import document, headline, markup, names, tables
from data_efficient.evaluation.document import (
  Code,
  Entry,
  Folded,
  Listing,
  Paragraph,
  Section,
)

# More runs than this are not named in a sentence.
_NAMED = 12


def left_out(results: Mapping) -> Section | None:
  """Names every run that no figure counts, and those counted on trust."""
  left, unknown = results.get("left_out"), results.get("corpus_unknown")
  blocks = []
  if left:
    words = f"No figure of this page counts {len(left)} of the runs:"
    blocks.append(Paragraph(words))
    blocks.append(Listing([Entry(entry["reason"]) for entry in left]))
  if unknown:
    words = (
      f"{len(unknown)} runs do not say which corpus they were trained on; they "
      "are counted all the same"
    )
    blocks += _named(words, unknown)
  if not blocks:
    return None
  title = "Runs left out" if left else "Runs of an unknown corpus"
  return Section(title, blocks, key="left-out")


def _named(words: str, runs: Sequence[str]) -> list:
  """A sentence that names runs; very many are folded."""
  if len(runs) <= _NAMED:
    return [Paragraph(f"{words}: {', '.join(runs)}.")]
  entries = [Entry(run) for run in runs]
  return [Paragraph(f"{words}."), Folded("Which runs", [Listing(entries)])]


def reproduce(results: Mapping) -> Section:
  """Command, commits, corpus and seeds; all runs by themselves."""
  corpus = results["corpus"]
  commits = sorted({run["commit"] for run in results["runs"]})
  seeds: dict[str, dict] = {}
  for sampler in results["samplers"]:
    of = seeds.setdefault(names.title(sampler["sampler"]), {})
    of.update(dict.fromkeys(map(str, sampler["seeds"])))
  facts = {
    "command": results["command"],
    "commit": results["commit"],
    "commits of the runs": ", ".join(commits),
    "corpus": f"{corpus.get('name', '')} {corpus.get('fingerprint', '')}",
    "splits": ", ".join(
      f"{name} {markup.number(count, 0)}"
      for name, count in (corpus.get("splits") or {}).items()
    ),
    "seeds": "; ".join(f"{name}: {', '.join(s)}" for name, s in seeds.items()),
    "steps, sequences a step": f"{results['steps']}, {results['batch_size']}",
  }
  words = (
    "Every figure of this page stands in results.json beside it and is "
    "recomputed from the runs' own files."
  )
  return Section(
    "How to reproduce",
    [
      Paragraph(words),
      *document.facts({k: v for k, v in facts.items() if v}),
      Folded("All runs", [tables.runs(results)]),
    ],
    key="reproduce",
  )


def configurations(results: Mapping) -> Section | None:
  """Every run's configuration, identical ones once.

  The first of each network stands in full. The others differ from it by a few
  lines, and it is these that a reader looks for: they are shown as a diff
  without context, which with the first gives back the whole text.
  """
  found = results.get("configurations")
  if not found or not found.get("runs"):
    return None
  used: dict[int, list[Mapping]] = {}
  for run in found["runs"]:
    used.setdefault(run["text"], []).append(run)
  first: dict[str | None, int] = {}
  folded = []
  for number, runs in used.items():
    base = first.setdefault(runs[0].get("network"), number)
    title = f"Configuration {number + 1}: {_runs_text(results, runs)}"
    folded.append(Folded(title, _text(found["texts"], number, base)))
  words = (
    f"{len(found['runs'])} runs, {len(used)} configurations: the resolved gin "
    "file that each run wrote."
  )
  blocks = [Paragraph(words), Folded("Every run's configuration", folded)]
  if missing := found.get("missing"):
    blocks[1:1] = _named(f"{len(missing)} runs wrote none", missing)
  return Section("Configurations", blocks, key="configurations")


def _text(texts: Sequence[str], number: int, base: int) -> list:
  """A text, as a diff to one that is there already where that is shorter."""
  if number == base:
    return [Code(texts[number])]
  lines = difflib.unified_diff(
    texts[base].splitlines(), texts[number].splitlines(), n=0, lineterm=""
  )
  difference = "\n".join(list(lines)[2:])
  if len(difference) > len(texts[number]):
    return [Code(texts[number])]
  words = f"As configuration {base + 1} but for these lines:"
  return [Paragraph(words, soft=True), Code(difference)]


def _runs_text(results: Mapping, runs: Sequence[Mapping]) -> str:
  """Samplers with their seeds: Ask-LLM 40%, seeds 0, 1; Random 40%, seed 0."""
  seeds: dict[str, list[str]] = {}
  for run in runs:
    label = headline.label(results, run)
    seeds.setdefault(label, []).append(str(run["seed"]))
  return "; ".join(
    f"{label}, seed{'s' * (len(found) > 1)} {', '.join(found)}"
    for label, found in seeds.items()
  )
