# SPDX-License-Identifier: Apache-2.0
"""Section of the report: how soon runs are where the full data ends."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from data_efficient.evaluation import (
  convergence_figure,
  document,
  headline,
  markup,
  names,
)
from data_efficient.evaluation.convergence_figure import Mark, Row
from data_efficient.evaluation.document import (
  Cell,
  Figures,
  Folded,
  Paragraph,
  Section,
  Table,
)
from data_efficient.evaluation.markup import number, percent
from data_efficient.evaluation.report_outcomes import title
from data_efficient.evaluation.report_views import View


class _Claim(NamedTuple):
  """A speed-up that the paper reports; `share` is what is left of Full."""

  share: float
  words: str


# Sachdeva et al. 2024, arXiv 2402.09668, Figure 1: T5-Large, Ask-LLM (XL).
_SOURCE = "Sachdeva et al. 2024, arXiv 2402.09668, Figure 1"
_CLAIMS = {
  "hq": _Claim(0.56, f"44% fewer on HQ perplexity ({_SOURCE})"),
  "glue": _Claim(0.30, f"70% fewer on GLUE ({_SOURCE})"),
  "superglue": _Claim(0.50, f"50% fewer on SuperGLUE ({_SOURCE})"),
}
# Measure -> what it is called, and its mark in the figure of seconds.
_SECONDS = {
  "seconds": ("Training alone", "ring"),
  "seconds_with_scoring_amortised": (
    "With scoring, shared by its runs",
    "diamond",
  ),
  "seconds_with_scoring": ("With scoring, paid by each run", "disc"),
}


def section(view: View) -> Section | None:
  """Steps, tokens and seconds until a metric reaches Full's final value."""
  rows = [s for s in view.results["samplers"] if s.get("convergence")]
  metrics = dict.fromkeys(m for s in rows for m in s["convergence"])
  if not metrics:
    return None
  words = (
    "What a run needs until its curve first reaches the mean final value of "
    "the full data's runs. A run that never gets there counts with all of its "
    "training: the restricted mean drops no run, and is a lower bound (≥) "
    "where one never got there. Below 100% is sooner than the full data."
  )
  blocks = [Paragraph(words)]
  shown = sorted(filter(_claim, metrics), key=lambda m: m != "hq_loss")
  for metric in shown:
    blocks += _blocks(view, metric)
  if others := [metric for metric in metrics if metric not in shown]:
    inner = [block for metric in others for block in _blocks(view, metric)]
    blocks.append(Folded("By other metrics", inner))
  return Section(
    title("How soon Full's final loss is reached", view),
    blocks,
    key=f"convergence{view.suffix}",
  )


def _blocks(view: View, metric: str) -> list:
  return [Figures(_drawings(view, metric)), _table(view, metric)]


def _claim(metric: str) -> _Claim | None:
  """By the metric's set: hq_loss, glue_average, SuperGLUE."""
  name = metric.lower()
  for suffix in ("_loss", "_perplexity", "_average"):
    name = name.removesuffix(suffix)
  return _CLAIMS.get(name.replace("_", ""))


def _whole(view: View, measure: str) -> float | int | None:
  """What is 100%: Full's steps, or the seconds of its runs."""
  if measure == "steps":
    return view.results["steps"]
  if not measure.startswith("seconds"):
    return None
  full = [s for s in view.results["samplers"] if s["sampler"] == names.FULL]
  return full[0]["training_seconds"] if full else None


def _drawings(view: View, metric: str) -> list:
  steps = _rows(view, metric, {"steps": "disc"})
  seconds = _rows(view, metric, {k: mark for k, (_, mark) in _SECONDS.items()})
  claim = _claim(metric)
  what = names.metric(metric)
  start = f"until Full's final {what} (restricted mean"
  paper = ""
  if claim:
    paper = (
      f" Dotted: {percent(claim.share)}, what the paper's Ask-LLM needs at 60% "
      f"of the data, {claim.words}."
    )
  key = _key(metric, view)
  found = []
  if any(row.marks for row in steps):
    found.append(
      convergence_figure.dots(
        steps,
        title=f"Steps {start})",
        caption=(
          f"Steps {start} with its 95% interval; an arrow continues it beyond "
          f"the frame). Dashed: all of Full's steps.{paper}{_notes(steps)}"
        ),
        x_title="% of Full's steps (less is better)",
        paper=claim.share if claim else None,
        key=f"steps-{key}",
      )
    )
  if any(row.marks for row in seconds):
    found.append(
      convergence_figure.dots(
        seconds,
        title=f"Accelerator time {start})",
        caption=(
          f"Accelerator time {start} with its 95% interval). Dashed: one "
          f"training run on the full data.{_notes(seconds)}"
        ),
        x_title="% of Full's training time (less is better)",
        paper=None,
        key=f"seconds-{key}",
        legend=list(_SECONDS.values()),
      )
    )
  return found


def _notes(rows: Sequence[Row]) -> str:
  if not any(row.note for row in rows):
    return ""
  return " At the right: how many of the runs reached it, if not all."


def _rows(view: View, metric: str, marks: Mapping[str, str]) -> list[Row]:
  budgets = names.count_budgets(view.results["samplers"])
  rows = []
  for sampler in view.results["samplers"]:
    found = (sampler.get("convergence") or {}).get(metric) or {}
    drawn, note = [], ""
    for measure, mark in marks.items():
      spread, whole = found.get(measure), _whole(view, measure)
      if not spread or spread.get("restricted_mean") is None or not whole:
        continue
      bounds = spread.get("restricted_interval")
      drawn.append(
        Mark(
          mark,
          spread["restricted_mean"] / whole,
          tuple(bound / whole for bound in bounds) if bounds else None,
        )
      )
      if spread["reached"] < spread["total"]:
        note = f"{spread['reached']}/{spread['total']}"
    label = names.label(sampler["sampler"], sampler["budget"], budgets=budgets)
    colour = names.colour_class(sampler["sampler"])
    rows.append(Row(label, colour, drawn, note))
  return rows


def _table(view: View, metric: str) -> Table:
  header = [
    "Sampler", "Reached", "Steps", "Tokens",
    *(words for words, _ in _SECONDS.values()), "Steps saved",
  ]  # fmt: skip
  rows = []
  for sampler in view.results["samplers"]:
    found = (sampler.get("convergence") or {}).get(metric) or {}
    steps = found.get("steps") or {}
    rows.append(
      [
        headline.label(view.results, sampler),
        f"{steps['reached']} of {steps['total']}" if steps else "–",
        *(
          _cell(found.get(m), m, _whole(view, m))
          for m in ("steps", "tokens", *_SECONDS)
        ),
        _speedup(steps),
      ]
    )
  caption = (
    f"Until Full's final {names.metric(metric)}: restricted means, in percent "
    "of Full's steps and of the mean time of its training runs, with 95% "
    "intervals and absolute values beneath. Saved is the share of the steps "
    "that Full's own runs need until they first get there, seed by seed; it is "
    "an upper bound (≤) where a run never got there."
  )
  key = f"convergence-{_key(metric, view)}"
  return document.table(caption, header, rows, key=key)


def _key(metric: str, view: View) -> str:
  """The name of an evaluation set, in a metric's, may be anything."""
  return re.sub(r"\W+|_", "-", metric) + view.suffix


def _cell(
  spread: Mapping | None, measure: str, whole: float | int | None
) -> Cell:
  mean = (spread or {}).get("restricted_mean")
  if mean is None:
    return Cell("–")
  least = "≥ " if spread["reached"] < spread["total"] else ""
  interval = spread.get("restricted_interval")
  if not whole:
    bounds = _bounds(interval, lambda value: number(value, 0))
    return Cell(f"{least}{number(mean, 0)}", (bounds,))
  bounds = _bounds(interval, lambda value: percent(value / whole))
  absolute = (
    markup.duration(mean)
    if measure.startswith("seconds")
    else f"{number(mean, 0)} {measure}"
  )
  return Cell(f"{least}{percent(mean / whole)}", (bounds, absolute))


def _bounds(interval: Sequence | None, text: Callable) -> str:
  return " to ".join(map(text, interval)) if interval else "no interval"


def _speedup(steps: Mapping) -> Cell:
  mean, interval = steps.get("speedup_mean"), steps.get("speedup_interval")
  if mean is None:
    return Cell("–")
  if interval is None:
    return Cell("not shown", ("no interval",))
  most = "≤ " if steps["reached"] < steps["total"] else ""
  return Cell(f"{most}{percent(mean)}", (_bounds(interval, percent),))
