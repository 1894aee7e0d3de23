# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML file from `results.json` and examples.

No script, no network, nothing but the two arguments: the same arguments give
the same bytes. A content security policy forbids the page to load or run
anything, should a corpus ever get past the escaping.
"""

from collections.abc import Mapping

from data_efficient.evaluation import (
  costs,
  figures,
  finals,
  headline,
  markup,
  names,
  style,
  tables,
)
from data_efficient.evaluation import (
  examples as example_lists,
)
from data_efficient.evaluation.markup import Html, element, join

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
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


def render(results: Mapping, examples: Mapping) -> str:
  """The report as one HTML page.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
    examples: sampler -> {"kept": [...], "dropped": [...]}; each example
      {"id", "source", "score", "text"} and optionally "where". May be empty.
  """
  sections = [
    _verdicts(results),
    _curves(results),
    _samplers(results),
    _in_distribution(results),
    _cost(results),
    _judge(results),
    _selections(results),
    _examples(examples),
    _left_out(results),
    _reproduce(results),
  ]
  body = element(
    "body",
    element("a", "Skip to the figures", href="#curves", class_="skip"),
    _header(results),
    element("main", *(section for section in sections if section)),
  )
  document = element("html", _head(), body, lang="en")
  return f"<!DOCTYPE html>\n{document}\n"


def _head() -> Html:
  return element(
    "head",
    element("meta", charset="utf-8"),
    element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
    element(
      "meta", name="viewport", content="width=device-width, initial-scale=1"
    ),
    element("title", "What selection bought"),
    element("style", Html(style.CSS)),
  )


def _section(title: str, *children: str, key: str) -> Html:
  return element(
    "section",
    element("h2", title, id=f"{key}-title"),
    *children,
    id=key,
    aria_labelledby=f"{key}-title",
  )


def _header(results: Mapping) -> Html:
  corpus = results["corpus"]
  facts = [
    corpus.get("name"),
    f"{markup.number(corpus.get('records'), 0)} records",
    f"{markup.number(results['steps'], 0)} steps a run",
    f"{len(results['runs'])} runs",
  ]
  return element(
    "header",
    element("h1", "What selection bought"),
    element("p", headline.headline(results), class_="lead"),
    element("p", " · ".join(f for f in facts if f), class_="soft"),
  )


def _verdicts(results: Mapping) -> Html:
  entries = [
    element(
      "li",
      element("b", headline.label(results, sampler)),
      headline.verdict_text(sampler),
      class_=sampler["verdict"],
    )
    for sampler in headline.judged(results)
  ]
  if not entries:
    return Html("")
  return join(
    element("ul", *entries, class_="verdicts"),
    element("p", headline.chance_text(len(entries)), class_="soft"),
  )


def _curves(results: Mapping) -> Html:
  return _section(
    "Loss along training",
    element("p", headline.models_text(results), class_="soft"),
    element(
      "div",
      figures.loss_curves(results, "hq_loss"),
      figures.loss_curves(results, "in_distribution_loss"),
      finals.final_losses(results, "hq_loss"),
      finals.final_losses(results, "in_distribution_loss"),
      class_="figures",
    ),
    key="curves",
  )


def _samplers(results: Mapping) -> Html:
  return _section(
    "Samplers",
    tables.samplers(results),
    element("p", headline.noise_text(results)),
    tables.differences(results),
    key="samplers",
  )


def _in_distribution(results: Mapping) -> Html:
  found = [s for s in headline.judged(results) if s["against_random"]]
  if not found:
    return Html("")
  words = (
    "The in-distribution set is text like the pool, noise included. A "
    "selection for quality leaves the noise out, so its model may predict "
    "such text less well; that is a price, and here it is:"
  )
  lines = [headline.in_distribution_text(results, s) for s in found]
  return _section(
    "The price: in-distribution loss",
    element("p", words),
    element("ul", *(element("li", line) for line in lines)),
    key="in-distribution",
  )


def _cost(results: Mapping) -> Html:
  if not results["scoring_seconds"]:
    return Html("")
  training = results["training_seconds"]
  scoring = sum(s["total"] for s in results["scoring_seconds"].values())
  words = (
    f"All scoring together took {markup.duration(scoring)}, all training "
    f"{markup.duration(training['total'])} in {len(training['runs'])} runs. "
    "Scores are made once and serve every run and budget after that."
  )
  return _section(
    "Cost: scoring beside training",
    element("p", words),
    costs.figure(results),
    tables.cost(results),
    key="cost",
  )


def _judge(results: Mapping) -> Html:
  judge = results["judge"]
  name, auc = judge.get("name"), judge.get("auc") or {}
  if not name and not auc:
    return Html("")
  children = []
  if name:
    stand_in = "stand_in" in name.split(", ")
    words = _STAND_IN if stand_in else f"The judge is {name}."
    children.append(element("p", words))
  if auc:
    caption = (
      "How well scores that claim quality tell text apart: 1 always, 0.5 by "
      "chance."
    )
    header = ["Told apart", "AUC"]
    rows = [
      [what.replace("_", " "), markup.number(value)]
      for what, value in auc.items()
    ]
    children.append(markup.table(caption, header, rows, key="auc"))
  others = {k: v for k, v in judge.items() if k not in ("name", "auc")}
  children.append(_facts(others))
  title = f"The judge: {name}" if name else "What scores tell apart"
  return _section(title, *children, key="judge")


def _facts(facts: Mapping) -> Html:
  """Names with their values; nested ones and nulls are left to the JSON."""
  plain = {k: v for k, v in facts.items() if isinstance(v, (str, int, float))}
  if not plain:
    return Html("")
  pairs = [
    join(element("dt", key.replace("_", " ")), element("dd", str(value)))
    for key, value in plain.items()
  ]
  return element("dl", *pairs)


def _selections(results: Mapping) -> Html:
  if not results["selections"]:
    return Html("")
  words = (
    "Density weighs each record by the inverse of how crowded its "
    "neighbourhood is: what is said often should be kept less often, what is "
    "rare more often than Random keeps it. Weights that are nearly equal (an "
    "effective sample size near 100%) make it Random by another name."
  )
  children = [tables.selections(results), element("p", words)]
  if results["corpus"].get("sources"):
    folded = element("summary", "Kept of each source")
    children.append(element("details", folded, tables.sources(results)))
  return _section("What the selections kept", *children, key="selections")


def _examples(examples: Mapping) -> Html:
  if not examples:
    return Html("")
  words = (
    "Text as it stands in the corpus, trimmed. Characters that cannot be seen "
    "or that reorder text are shown by their code."
  )
  return _section(
    "Examples of what was kept and dropped",
    element("p", words, class_="soft"),
    example_lists.section(examples),
    key="examples",
  )


def _left_out(results: Mapping) -> Html:
  left = results.get("left_out")
  if not left:
    return Html("")
  return _section(
    "Runs left out",
    element("p", f"No figure of this page counts {len(left)} of the runs:"),
    element("ul", *(element("li", entry["reason"]) for entry in left)),
    key="left-out",
  )


def _reproduce(results: Mapping) -> Html:
  corpus = results["corpus"]
  commits = sorted({run["commit"] for run in results["runs"]})
  seeds = {
    names.title(s["sampler"]): ", ".join(map(str, s["seeds"]))
    for s in results["samplers"]
  }
  facts = {
    "command": results["command"],
    "commit": results["commit"],
    "commits of the runs": ", ".join(commits),
    "corpus": f"{corpus.get('name', '')} {corpus.get('fingerprint', '')}",
    "splits": ", ".join(
      f"{name} {markup.number(count, 0)}"
      for name, count in (corpus.get("splits") or {}).items()
    ),
    "seeds": "; ".join(f"{name}: {seed}" for name, seed in seeds.items()),
    "steps, sequences a step": f"{results['steps']}, {results['batch_size']}",
  }
  words = (
    "Every figure of this page stands in results.json beside it and is "
    "recomputed from the runs' own files."
  )
  return _section(
    "How to reproduce",
    element("p", words),
    _facts({k: v for k, v in facts.items() if v}),
    element("details", element("summary", "All runs"), tables.runs(results)),
    key="reproduce",
  )
