# SPDX-License-Identifier: Apache-2.0
"""Section of the report: quality against data and against time."""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import document, front_figure, headline, markup
from data_efficient.evaluation.document import (
  Cell,
  Figures,
  Paragraph,
  Section,
  Table,
)
from data_efficient.evaluation.markup import number
from data_efficient.evaluation.report_outcomes import title
from data_efficient.evaluation.report_views import View

# Axis of results.json -> what it is called, and the axis' title.
_AXES = {
  "data": ("Training tokens", "training tokens kept"),
  "accelerator_time": (
    "Accelerator time",
    "accelerator seconds, scoring included",
  ),
}
_CAPTIONS = {
  "data": "Quality against data",
  "accelerator_time": "Quality against accelerator time, scoring included",
}


def section(view: View) -> Section | None:
  """Both fronts, each with the table of its points."""
  axes = {
    axis: points
    for axis, points in _of(view).items()
    if axis in _AXES and points
  }
  if not axes:
    return None
  words = (
    "A point is on the front where no other costs as little and ends as low. "
    "Two points whose intervals overlap may change places with other seeds."
  )
  blocks = [Paragraph(words)]
  blocks.append(
    Figures([_drawing(view, axis, points) for axis, points in axes.items()])
  )
  blocks += [_table(view, axis, points) for axis, points in axes.items()]
  blocks += _unknown(view, axes)
  return Section(
    title("Quality against cost", view), blocks, key=f"pareto{view.suffix}"
  )


def _unknown(view: View, axes: Mapping) -> list[Paragraph]:
  """Names the points of one figure that the other cannot have."""
  keys = {
    axis: {(p["sampler"], p["budget"]) for p in points}
    for axis, points in axes.items()
  }
  timed = keys.get("accelerator_time", set())
  labels = [
    headline.label(view.results, point)
    for point in axes.get("data", ())
    if (point["sampler"], point["budget"]) not in timed
  ]
  if not labels:
    return []
  words = "What scoring took is not known, and so no accelerator time, of "
  return [Paragraph(f"{words}{', '.join(labels)}.")]


def _of(view: View) -> Mapping:
  found = view.results.get("pareto") or {}
  if view.network in found:
    return found[view.network] or {}
  # A network without a name has one by the time it is a key of JSON.
  return next(iter(found.values())) or {} if len(found) == 1 else {}


def _drawing(view: View, axis: str, points: Sequence[Mapping]):
  return front_figure.front(
    points,
    title=_CAPTIONS[axis],
    caption=(
      f"{_CAPTIONS[axis]}: mean final HQ loss with its 95% interval; an arrow "
      "continues it beyond the frame. The grey line is the front, the thin one "
      "goes through Random's points; where there are very many points, only "
      "these two have their intervals drawn."
    ),
    x_title=_AXES[axis][1],
    key=f"pareto-{axis.replace('_', '-')}{view.suffix}",
  )


def _table(view: View, axis: str, points: Sequence[Mapping]) -> Table:
  def cost(value: float | int) -> str:
    return number(value, 0) if axis == "data" else markup.duration(value)

  rows = [
    [
      headline.label(view.results, point),
      cost(point["x"]),
      _quality(point),
      "yes" if point["on_front"] else "no",
    ]
    for point in points
  ]
  header = ["Sampler", _AXES[axis][0], "Final HQ loss", "On the front"]
  caption = f"{_CAPTIONS[axis]}: the points of the figure."
  key = f"pareto-{axis.replace('_', '-')}{view.suffix}"
  return document.table(caption, header, rows, key=key)


def _quality(point: Mapping) -> Cell:
  interval = point.get("interval")
  under = (" to ".join(map(number, interval)),) if interval else ()
  return Cell(number(point["y"]), under)
