# SPDX-License-Identifier: Apache-2.0
"""The figure of final losses: every seed, their mean, its interval."""

from collections.abc import Mapping, Sequence

import numpy as np

from data_efficient.evaluation import comparison, figures, names, svg
from data_efficient.evaluation.markup import Html, element


def final_losses(results: Mapping, loss: str, *, suffix: str = "") -> Html:
  """Final loss of each sampler: a dot a seed, the mean, its 95% interval.

  `suffix` makes names of elements unique where a page has several such figures.
  """
  samplers = results["samplers"]
  budgets = names.count_budgets(samplers)
  labels = [
    svg.clipped(names.label(s["sampler"], s["budget"], budgets=budgets))
    for s in samplers
  ]
  finals = [_finals(results, s, loss) for s in samplers]
  intervals = [comparison.interval(values) for values in finals]
  target = results["target"][loss]
  x = _final_scale(finals, target, left=16 + 7.2 * max(map(len, labels)))
  height = 26.0 * len(samplers)
  y = svg.Scale(-0.5, len(samplers) - 0.5, 10.0, 10.0 + height)
  words = "final loss, nats a token (less is better)"
  marks = svg.x_axis(x, top=6, bottom=y.end, title=words)
  if target is not None:
    marks.append(svg.line(x(target), 6, x(target), y.end, "target"))
  for row, sampler in enumerate(samplers):
    colour = names.colour_class(sampler["sampler"])
    marks.append(
      svg.text(
        x.start - 8,
        y(row) + 4,
        labels[row],
        class_=f"label {colour}",
        anchor="end",
      )
    )
    marks += _final_row(finals[row], intervals[row], x, y(row), colour=colour)
  caption = (
    f"Final {figures.TITLES[loss]} (mean of the last three evaluations): a "
    "ring a seed, the bar their mean, the line its 95% interval; an arrow "
    "continues it beyond the frame. Dashed: the full data. Comparisons with "
    "Random are made seed by seed, in the table."
  )
  return svg.figure(
    *marks,
    height=height + 52,
    title=f"Final {figures.TITLES[loss]} of each sampler",
    caption=caption,
    key=f"final-{loss.replace('_', '-')}{suffix}",
  )


def _finals(results: Mapping, sampler: Mapping, loss: str) -> list[float]:
  key = sampler["sampler"], sampler["budget"]
  return [
    row[f"final_{loss}"]
    for row in results["runs"]
    if (row["sampler"], row["budget"]) == key
    and row[f"final_{loss}"] is not None
  ]


def _final_scale(
  finals: Sequence[Sequence[float | int]],
  target: float | int | None,
  *,
  left: float,
) -> svg.Scale:
  """A frame of the seeds; intervals of few seeds may be far wider."""
  values = [value for seeds in finals for value in seeds]
  values += [] if target is None else [target]
  low, high = min(values, default=0.0), max(values, default=1.0)
  margin = 0.15 * (high - low) or 0.1
  return svg.Scale(low - margin, high + margin, left, svg.WIDTH - 12)


def _final_row(values, interval, x: svg.Scale, y: float | int, *, colour: str):
  marks = []
  if interval is not None:
    marks += svg.whisker(interval, x, y, class_=colour)
  for value in values:
    marks.append(
      element("circle", cx=x(value), cy=y, r=4, class_=f"seed {colour}")
    )
  if values:
    mean = x(float(np.mean(values)))
    marks.append(svg.line(mean, y - 8, mean, y + 8, f"mean {colour}"))
  return marks
