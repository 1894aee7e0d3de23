# SPDX-License-Identifier: Apache-2.0
"""Quality against the kept fraction: a line a method, intervals over seeds.

Pure functions of `results.json` to inline SVG. Colours and shapes tell methods
apart; the full data and the base are lines across.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_efficient.evaluation import legend, names, style, svg
from data_efficient.evaluation.markup import Html, number
from data_efficient.evaluation.tuning.metrics import METRICS

_TOP, _BOTTOM = 26.0, 262.0
_LEFT, _RIGHT = 46.0, 58.0
# Marks of one budget stand beside one another, this far apart at most.
_APART = 5.0
# The frame goes so far beyond the outermost means, in parts of their range.
_BEYOND = 0.35


class _Line(NamedTuple):
  """A method: (kept fraction, mean, interval) by budget."""

  method: str
  points: list[tuple[float, float, Sequence[float] | None]]


def quality(results: Mapping, use: str, metric: str) -> Html | None:
  """The figure; None where no method was measured."""
  found = _lines(results, use, metric)
  if not found:
    return None
  base = _base(results, metric)
  before = "" if base is None else f" Of the base as it is: {number(base)}."
  caption = (
    f"{METRICS[metric].title} against the kept fraction: means with 95% "
    "intervals over seeds; an arrow continues one beyond the frame. Dashed: "
    f"all of the data.{before}"
  )
  return svg.figure(
    *_marks(results, use, metric, found),
    **_frame_facts(found, use, metric),
    caption=caption,
  )


def picture(results: Mapping) -> str:
  """The main metric of the first use as an SVG file that stands alone."""
  use, metric = results["rows"][0]["use"], results["main"]
  found = _lines(results, use, metric)
  drawing = svg.drawing(
    *_marks(results, use, metric, found),
    **_frame_facts(found, use, metric),
    css=style.CSS,
  )
  return f"{drawing}\n"


def _frame_facts(found: Sequence[_Line], use: str, metric: str) -> dict:
  return {
    "height": _BOTTOM + 48 + legend.height(len(found)),
    "title": f"{METRICS[metric].title} against the kept fraction",
    "key": f"quality-{use}-{metric}".replace("_", "-"),
  }


def _of(results: Mapping, use: str, metric: str) -> list[Mapping]:
  return [
    row
    for row in results["rows"]
    if row["use"] == use
    and (row["metrics"].get(metric) or {}).get("mean") is not None
  ]


def _lines(results: Mapping, use: str, metric: str) -> list[_Line]:
  lines: dict[str, list] = {}
  for row in _of(results, use, metric):
    if row["method"] != names.FULL:
      summary = row["metrics"][metric]
      point = row["budget"], summary["mean"], summary["interval"]
      lines.setdefault(row["method"], []).append(point)
  return [_Line(name, sorted(points)) for name, points in lines.items()]


def _across(results: Mapping, use: str, metric: str) -> dict[str, float]:
  """Values of what has no budget: style class -> value."""
  found = {}
  for row in _of(results, use, metric):
    if row["method"] == names.FULL:
      found["target"] = row["metrics"][metric]["mean"]
  base = _base(results, metric)
  return found if base is None else {**found, "reference": base}


def _base(results: Mapping, metric: str) -> float | None:
  return results["base"].get(metric)


def _marks(
  results: Mapping, use: str, metric: str, found: Sequence[_Line]
) -> list[Html]:
  across = _across(results, use, metric)
  means = [mean for line in found for _, mean, _ in line.points]
  # The base may lie far away; what is compared fills the frame.
  inside = [*means, *(v for k, v in across.items() if k == "target")]
  beyond = _BEYOND * (max(inside) - min(inside)) or 0.1 * abs(inside[0]) or 0.1
  widest = 115 * max(budget for line in found for budget, _, _ in line.points)
  x = svg.Scale(0.0, widest, _LEFT, svg.WIDTH - _RIGHT)
  y = svg.Scale(min(inside) - beyond, max(inside) + beyond, _BOTTOM, _TOP)
  marks = svg.axes(x, y, x_title="kept, percent", y_title=METRICS[metric].axis)
  marks += _levels(across, x, y)
  shapes = legend.shapes([line.method for line in found])
  for index, line in enumerate(found):
    marks += _drawn(line, index - (len(found) - 1) / 2, shapes, x, y)
  return [*marks, legend.draw(shapes, left=_LEFT, top=_BOTTOM + 52)]


def _levels(
  across: Mapping[str, float], x: svg.Scale, y: svg.Scale
) -> list[Html]:
  """Lines across with their names at the right; none outside the frame."""
  shown = {k: v for k, v in across.items() if y.low <= v <= y.high}
  places = svg.spread(
    [y(value) for value in shown.values()], gap=12.0, low=y.end, high=y.start
  )
  marks = []
  for (kind, value), place in zip(shown.items(), places, strict=True):
    marks.append(svg.line(x.start, y(value), x.end, y(value), kind))
    words = "Full" if kind == "target" else "base"
    marks.append(svg.text(x.end + 5, place + 4, words, class_="tick"))
  return marks


def _drawn(
  line: _Line,
  beside: float,
  shapes: Mapping[str, str],
  x: svg.Scale,
  y: svg.Scale,
) -> list[Html]:
  colour = names.colour_class(line.method)
  places = [
    (round(x(100 * budget) + _APART * beside, 2), y(mean))
    for budget, mean, _ in line.points
  ]
  marks = []
  if len(places) > 1:
    marks.append(svg.path(places, f"lead-line {colour}"))
  for (across, down), (_, _, interval) in zip(places, line.points, strict=True):
    if interval:
      marks += svg.upright(interval, y, across, class_=colour)
    marks.append(svg.marker(shapes[line.method], across, down, colour))
  return marks
