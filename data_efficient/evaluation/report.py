# SPDX-License-Identifier: Apache-2.0
"""The report, composed: which sections there are, and in what order.

Pure: the same `results.json` and examples give the same document. A section of
figures that results do not hold, those of older files, is left out.
"""

from collections.abc import Mapping

from data_efficient.evaluation import (
  headline,
  markup,
  report_convergence,
  report_outcomes,
  report_paper,
  report_pareto,
  report_runs,
  report_scores,
  report_views,
)
from data_efficient.evaluation.document import Report, Section

TITLE = "What selection bought"
# What results.json has always had; all else is optional.
_NEEDED = (
  *("steps", "batch_size", "target", "runs", "samplers", "judge", "command"),
  *("scoring_seconds", "training_seconds", "corpus", "selections", "commit"),
)


class ReportError(ValueError):
  """Results that no report can be made of."""


def check(results: object) -> None:
  """Raises ReportError for what is no `results.json` of the verb `evaluate`."""
  if not isinstance(results, Mapping):
    raise ReportError(f"expected a JSON object, not {type(results).__name__}")
  missing = [key for key in _NEEDED if key not in results]
  if missing:
    raise ReportError(f"these keys are missing: {', '.join(missing)}")


def composed(results: Mapping, examples: Mapping) -> Report:
  """The report; see `sections`."""
  return Report(
    title=TITLE,
    lead=lead(results),
    size=size(results),
    sections=sections(results, examples),
    figures="curves",
    picture=("HQ loss along training", "hq_loss.svg"),
  )


def sections(results: Mapping, examples: Mapping) -> list[Section]:
  """Every section that has something to say.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
    examples: as for `page.render`.
  """
  found = [
    report_outcomes.verdicts(results),
    report_outcomes.random_missing(results),
    report_paper.section(results),
  ]
  for view in report_views.views(results):
    found += [
      report_outcomes.curves(view),
      report_outcomes.samplers(view),
      report_convergence.section(view),
      report_pareto.section(view),
      report_outcomes.in_distribution(view),
      report_scores.cost(view),
    ]
  found += [
    report_scores.judge(results),
    report_scores.agreement(results),
    report_scores.selections(results),
    report_scores.examples(examples),
    report_runs.left_out(results),
    report_runs.reproduce(results),
    report_runs.configurations(results),
  ]
  return [section for section in found if section]


def lead(results: Mapping) -> str:
  """The report in one sentence."""
  return headline.headline(results)


def size(results: Mapping) -> str:
  """Of what and of how much it speaks."""
  corpus = results["corpus"]
  facts = [
    corpus.get("name"),
    f"{markup.number(corpus.get('records'), 0)} records",
    f"{markup.number(results['steps'], 0)} steps a run",
    f"{len(results['runs'])} runs",
  ]
  return " · ".join(fact for fact in facts if fact)
