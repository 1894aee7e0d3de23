# SPDX-License-Identifier: Apache-2.0
"""Sections of the report: scores, what they cost, and what they selected."""

from collections.abc import Mapping

from data_efficient.evaluation import (
  agreement_figure,
  costs,
  document,
  markup,
  names,
  tables,
)
from data_efficient.evaluation import (
  examples as example_lists,
)
from data_efficient.evaluation.document import (
  Figures,
  Folded,
  Markup,
  Paragraph,
  Section,
)
from data_efficient.evaluation.report_outcomes import title
from data_efficient.evaluation.report_views import View

_STAND_IN = (
  "The judge is called stand_in because it stands in for a real one. It was "
  "taught here, for this report, by a short training: to answer yes for a "
  "reference set of well-edited text and no for damaged passages and for "
  "passages of the pool. The prompt carries no knowledge for such a judge: it "
  "reads the question as it reads any other tokens, and knows what the "
  "teaching text showed it. An instruction-tuned model that answers the same "
  "prompt may rank text very differently. Compare stand_in with the "
  "Classifier, the cheap baseline that any judge must beat to be worth its "
  "cost."
)


def cost(view: View) -> Section | None:
  """Seconds of scoring beside seconds of training."""
  results = view.results
  if not results["scoring_seconds"]:
    return None
  training = results["training_seconds"]
  scoring = sum(s["total"] for s in results["scoring_seconds"].values())
  words = (
    f"All scoring together took {markup.duration(scoring)}, all training "
    f"{markup.duration(training['total'])} in {len(training['runs'])} runs. "
    "Scores are made once and serve every run and budget after that."
  )
  found = tables.cost(results)
  drawing = costs.figure(results)
  if view.suffix:
    # Names of elements are unique on a page.
    drawing = markup.Html(
      drawing.replace("figure-cost", f"figure-cost{view.suffix}")
    )
  return Section(
    title("Cost: scoring beside training", view),
    [
      Paragraph(words),
      Figures([drawing]),
      found._replace(key=found.key + view.suffix),
    ],
    key=f"cost{view.suffix}",
  )


def judge(results: Mapping) -> Section | None:
  """Which model was asked, and how well scores tell text apart."""
  facts = results["judge"]
  name, auc = facts.get("name"), facts.get("auc") or {}
  if not name and not auc:
    return None
  blocks = []
  if name:
    stand_in = "stand_in" in name.split(", ")
    blocks.append(Paragraph(_STAND_IN if stand_in else f"The judge is {name}."))
  if auc:
    caption = (
      "How well scores that claim quality tell text apart: 1 always, 0.5 by "
      "chance."
    )
    rows = [
      [what.replace("_", " "), markup.number(value)]
      for what, value in auc.items()
    ]
    blocks.append(
      document.table(caption, ["Told apart", "AUC"], rows, key="auc")
    )
  others = {k: v for k, v in facts.items() if k not in ("name", "auc")}
  blocks += document.facts(others)
  heading = f"The judge: {name}" if name else "What scores tell apart"
  return Section(heading, blocks, key="judge")


def agreement(results: Mapping) -> Section | None:
  """How alike scorers rank: Kendall's τ of every pair."""
  found = results.get("agreement")
  if not found or len(found.get("names") or ()) < 2:
    return None
  words = (
    "Kendall's τ of the scores of the same records: 1 where two scorers rank "
    "all pairs alike, 0 where they have nothing to do with one another, −1 "
    "where one reverses the other. The paper's Figure 7 (Sachdeva et al. 2024, "
    "arXiv 2402.09668) is the same of its scorers."
  )
  titles = [names.title(name) for name in found["names"]]
  rows = [
    [title, *(markup.signed(value, 2) for value in row)]
    for title, row in zip(titles, found["tau"], strict=True)
  ]
  caption = "Kendall's τ between scorers."
  return Section(
    "How alike scorers rank",
    [
      Paragraph(words),
      Figures([agreement_figure.matrix(titles, found["tau"])]),
      document.table(caption, ["Scorer", *titles], rows, key="agreement"),
    ],
    key="agreement",
  )


def selections(results: Mapping) -> Section | None:
  """Sizes, thresholds, weights and sources of the selections."""
  if not results["selections"]:
    return None
  words = (
    "Density weighs each record by the inverse of how crowded its "
    "neighbourhood is: what is said often should be kept less often, what is "
    "rare more often than Random keeps it. Weights that are nearly equal (an "
    "effective sample size near 100%) make it Random by another name."
  )
  blocks = [tables.selections(results), Paragraph(words)]
  if results["corpus"].get("sources"):
    blocks.append(Folded("Kept of each source", [tables.sources(results)]))
  return Section("What the selections kept", blocks, key="selections")


def examples(found: Mapping) -> Section | None:
  """Text that was kept and dropped."""
  if not found:
    return None
  words = (
    "Text as it stands in the corpus, trimmed. Characters that cannot be seen "
    "or that reorder text are shown by their code."
  )
  return Section(
    "Examples of what was kept and dropped",
    [Paragraph(words, soft=True), Markup(example_lists.section(found))],
    key="examples",
  )
