# SPDX-License-Identifier: Apache-2.0
"""Sections of the report: verdicts, losses, and what they cost elsewhere."""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import (
  figures,
  finals,
  headline,
  names,
  report_views,
  tables,
)
from data_efficient.evaluation.comparison import Verdict
from data_efficient.evaluation.document import (
  Entry,
  Figures,
  Folded,
  Heading,
  Listing,
  Paragraph,
  Section,
)
from data_efficient.evaluation.report_views import View

_KINDS = {
  Verdict.BEATS: "beat Random",
  Verdict.DOES_NOT_BEAT: "do worse than Random",
  Verdict.UNDECIDED: "are undecided against Random",
}
# More verdicts than this are folded, each kind by itself.
_VERDICTS = 24
_LOSSES = ("hq_loss", "in_distribution_loss")
# More curves than this cannot be told apart: then a figure a budget.
_CURVES = 12


def verdicts(results: Mapping) -> Section | None:
  """Each selection against Random, first of all; very many are folded."""
  found = headline.judged(results)
  if not found:
    return None
  if len(found) <= _VERDICTS:
    blocks = [_verdicts(results, found)]
  else:
    groups = {
      words: [s for s in found if s["verdict"] == verdict.value]
      for verdict, words in _KINDS.items()
    }
    blocks = [
      Folded(f"{len(group)} {words}", [_verdicts(results, group)])
      for words, group in groups.items()
      if group
    ]
  chance = Paragraph(headline.chance_text(len(found)), soft=True)
  return Section("", [*blocks, chance], key="verdicts")


def _verdicts(results: Mapping, found: Sequence[Mapping]) -> Listing:
  entries = [
    Entry(
      headline.verdict_text(sampler),
      label=headline.label(results, sampler),
      kind=sampler["verdict"],
    )
    for sampler in found
  ]
  return Listing(entries, kind="verdicts")


def random_missing(results: Mapping) -> Section | None:
  """Names selections that no Random run stands beside."""
  missing = results.get("random_missing")
  if not missing:
    return None
  entries = [Entry(headline.label(results, entry)) for entry in missing]
  words = (
    "No Random run at the same budget stands beside these selections, so "
    "nothing on this page says whether they beat chance:"
  )
  blocks = [Paragraph(words), Listing(entries)]
  return Section("Without Random beside", blocks, key="random-missing")


def title(words: str, view: View) -> str:
  """A section's title, with the network where there are several."""
  return f"{words}: {view.title}" if view.title else words


def curves(view: View) -> Section:
  """Loss along training and where it ends."""
  results = view.results
  budgets = report_views.budgets(results)
  blocks = [Paragraph(headline.models_text(results), soft=True)]
  if len(results["samplers"]) <= _CURVES or len(budgets) < 2:
    blocks.append(_drawings(results, view.suffix))
  else:
    for budget in budgets:
      blocks.append(
        Heading(f"At {names.budget_text(budget)}, beside Full data")
      )
      blocks.append(
        _drawings(
          report_views.at_budget(results, budget),
          f"{view.suffix}-at-{budget:g}",
        )
      )
  return Section(
    title("Loss along training", view), blocks, key=f"curves{view.suffix}"
  )


def _drawings(results: Mapping, suffix: str) -> Figures:
  return Figures(
    [
      draw(results, loss, suffix=suffix)
      for draw in (figures.loss_curves, finals.final_losses)
      for loss in _LOSSES
    ]
  )


def samplers(view: View) -> Section:
  """What each sampler kept and reached, and its differences to others."""
  results, suffix = view.results, view.suffix
  outcomes, differences = tables.samplers(results), tables.differences(results)
  blocks = [
    outcomes._replace(key=outcomes.key + suffix),
    Paragraph(headline.noise_text(results)),
    differences._replace(key=differences.key + suffix),
  ]
  return Section(title("Samplers", view), blocks, key=f"samplers{suffix}")


def in_distribution(view: View) -> Section | None:
  """Whether text like the pool is predicted less well."""
  results = view.results
  found = [s for s in headline.judged(results) if s["against_random"]]
  if not found:
    return None
  words = (
    "The in-distribution set is text like the pool, noise included. A "
    "selection for quality leaves the noise out, so its model may predict "
    "such text less well; that is a price, and here it is:"
  )
  lines = [headline.in_distribution_text(results, s) for s in found]
  return Section(
    title("The price: in-distribution loss", view),
    [Paragraph(words), Listing([Entry(line) for line in lines])],
    key=f"in-distribution{view.suffix}",
  )
