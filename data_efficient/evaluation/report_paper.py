# SPDX-License-Identifier: Apache-2.0
"""Section of the report: the layout of the paper's Table 1.

Sachdeva et al. 2024, arXiv 2402.09668, Table 1: grouped by model size, a row a
sampler with the tokens it trains on, over-scaling, then the suites. Perplexity
stands where the paper has none in this table, and every figure has its
interval, which the paper's single runs cannot have.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_efficient.evaluation import (
  document,
  headline,
  names,
  report_views,
)
from data_efficient.evaluation.document import Cell, Paragraph, Section, Table
from data_efficient.evaluation.markup import number, percent

_SUITES = (
  *("GLUE", "SuperGLUE", "CNN/DM", "SQuAD"),
  *("MMLU", "BBH", "Reasoning", "QA", "Average"),
)


class _Column(NamedTuple):
  """How a sampler's row is read.

  `difference` names the figure of `against_random` whose interval decides
  whether the best of a budget is bold. That of a loss decides for its
  perplexity and its over-scaling too: one rises with the other, and Full's and
  the next size's losses are taken as given.
  """

  title: str
  path: tuple[str, ...]
  difference: str
  digits: int
  less_is_better: bool
  difference_falls: bool
  scale: float = 1.0


def section(results: Mapping) -> Section | None:
  """Table 1 and effective model sizes, where results hold them."""
  blocks = []
  if columns := _columns(results["samplers"]):
    blocks.append(_table(results, columns))
  blocks += _effective(results)
  if not blocks:
    return None
  return Section("The paper's table", blocks, key="paper")


def _columns(samplers: Sequence[Mapping]) -> list[_Column]:
  """Those that some row has a figure for."""
  asked = {name for s in samplers for name in s.get("suites") or ()}
  suites = [name for name in _SUITES if name in asked]
  suites += sorted(asked - set(suites))
  found = [
    # Of no single metric, so no difference to Random decides.
    _over_scaling("mean of metrics", ("over_scaling_average",), ""),
    *(
      _over_scaling(names.metric(loss), ("over_scaling", loss), loss)
      for loss in ("hq_loss", "in_distribution_loss")
    ),
  ]
  found += [
    _Column(
      f"{title} perplexity",
      (f"{name}_perplexity",),
      difference=f"{name}_loss",
      digits=2,
      less_is_better=True,
      difference_falls=True,
    )
    for name, title in (("in_distribution", "In-distribution"), ("hq", "HQ"))
  ]
  found += [
    _Column(
      name,
      ("suites", name),
      difference=name,
      digits=1,
      less_is_better=False,
      difference_falls=False,
      scale=100.0,
    )
    for name in suites
  ]
  return [c for c in found if any(_mean(s, c) is not None for s in samplers)]


def _over_scaling(what: str, path: tuple[str, ...], loss: str) -> _Column:
  return _Column(
    f"Over-scaling %, {what}",
    path,
    difference=loss,
    digits=1,
    less_is_better=False,
    difference_falls=True,
  )


def _summary(sampler: Mapping, column: _Column) -> Mapping | None:
  found = sampler
  for key in column.path:
    found = (found or {}).get(key)
  return found


def _mean(sampler: Mapping, column: _Column) -> float | int | None:
  mean = (_summary(sampler, column) or {}).get("mean")
  return mean if mean is not None and math.isfinite(mean) else None


def _table(results: Mapping, columns: Sequence[_Column]) -> Table:
  groups = {}
  for network, title in report_views.networks(results).items():
    rows = [s for s in results["samplers"] if s.get("network") == network]
    groups[title if network else ""] = _rows(results, rows, columns)
  caption = (
    "The layout of the paper's Table 1 (Sachdeva et al. 2024, arXiv "
    "2402.09668), with 95% intervals beneath. Over-scaling is 0 for the full "
    "data and 100 for the next size of network on the full data. Bold: the "
    "best selection of a budget, where the interval of its difference to "
    "Random at the same budget lies wholly on the better side of 0."
  )
  header = ["Sampler", "Training tokens", *(c.title for c in columns)]
  return document.grouped(caption, header, groups, key="paper")


def _rows(
  results: Mapping, samplers: Sequence[Mapping], columns: Sequence[_Column]
) -> list[list[str | Cell]]:
  """Full first; then the budgets, Random first in each."""
  ordered = [s for s in samplers if s["sampler"] == names.FULL]
  bold: set[tuple[int, _Column]] = set()
  for budget in dict.fromkeys(
    sorted(
      (s["budget"] for s in samplers if s["sampler"] != names.FULL),
      key=lambda budget: -1.0 if budget is None else budget,
    )
  ):
    block = [
      s
      for s in samplers
      if s["sampler"] != names.FULL and s["budget"] == budget
    ]
    # Stable: the others keep the order that results have.
    block.sort(key=lambda s: s["sampler"] != names.RANDOM)
    bold |= {(id(best), c) for c in columns if (best := _best(block, c))}
    ordered += block
  several = len(report_views.networks(results)) > 1
  return [
    [
      # The group says which network it is.
      headline.label(results, {**s, "network": None} if several else s),
      number(s["kept_tokens"], 0),
      *(_cell(s, c, bold=(id(s), c) in bold) for c in columns),
    ]
    for s in ordered
  ]


def _best(block: Sequence[Mapping], column: _Column) -> Mapping | None:
  """The best selection of a budget, if it is better than Random for certain."""
  found = [
    s
    for s in block
    if s["sampler"] != names.RANDOM and _mean(s, column) is not None
  ]
  if not found:
    return None
  choose = min if column.less_is_better else max
  best = choose(found, key=lambda s: _mean(s, column))
  difference = (best.get("against_random") or {}).get(column.difference) or {}
  interval = difference.get("interval")
  if not interval:
    return None
  low, high = interval
  return best if (high < 0 if column.difference_falls else low > 0) else None


def _cell(sampler: Mapping, column: _Column, *, bold: bool) -> Cell:
  mean = _mean(sampler, column)
  if mean is None:
    return Cell("–")

  def text(value: float | int) -> str:
    return number(column.scale * value, column.digits)

  interval = _summary(sampler, column).get("interval")
  under = (" to ".join(map(text, interval)),) if interval else ()
  return Cell(text(mean), under, bold)


def _effective(results: Mapping) -> list:
  """How large a network of the full data would have to be to score as much."""
  rows, reasons = [], {}
  for sampler in results["samplers"]:
    found = sampler.get("effective_model_size")
    if not found:
      continue
    label = headline.label(results, sampler)
    if found.get("parameters") is None:
      reasons.setdefault(found.get("reason") or "no reason given", []).append(
        label
      )
      continue
    rows.append([label, _size(found), _share(results, sampler, found)])
  blocks = []
  if rows:
    caption = (
      "Effective model size: the parameters of a network that the full data "
      "would bring to the same score, by a curve fitted through the full "
      "data's sizes and inverted; 95% intervals beneath."
    )
    header = ["Sampler", "Effective parameters", "Share of its own"]
    blocks.append(
      document.table(caption, header, rows, key="effective-model-size")
    )
  for reason, labels in reasons.items():
    whose = "" if not rows and len(reasons) < 2 else f" of {', '.join(labels)}"
    words = f"No effective model size{whose}: {reason.rstrip('.')}."
    blocks.append(Paragraph(words, soft=True))
  return blocks


def _size(found: Mapping) -> Cell:
  under = ()
  if found.get("interval"):
    # No size of the curve has so low a loss as an end that is null.
    ends = [
      "–" if n is None else names.parameters_text(n) for n in found["interval"]
    ]
    under = (" to ".join(ends),)
  if found.get("extrapolated"):
    under += ("extrapolated",)
  return Cell(names.parameters_text(found["parameters"]), under)


def _share(results: Mapping, sampler: Mapping, found: Mapping) -> str:
  sizes = {
    entry["network"]: entry.get("non_embedding_parameters")
    for entry in results.get("networks") or ()
  }
  own = sizes.get(sampler.get("network"))
  return percent(found["parameters"] / own) if own else "–"
