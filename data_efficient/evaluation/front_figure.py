# SPDX-License-Identifier: Apache-2.0
"""A Pareto front: points with intervals, the front, Random beside."""

import itertools
from collections.abc import Mapping, Sequence

from data_efficient.evaluation import legend, names, svg
from data_efficient.evaluation.markup import Html

_TOP, _PLOT = 26.0, 250.0
_LEFT, _RIGHT = 46.0, 18.0
# The frame goes so far beyond the outermost means, in parts of their range.
_BEYOND = 0.35
# Points of one cost stand beside one another, this far apart at most.
_APART = 6.0
# However many they are, they stay within so much of their cost.
_WIDEST = 40.0
# More intervals than this cover each other: then those of the front and of
# Random alone.
_INTERVALS = 40


def front(
  points: Sequence[Mapping],
  *,
  title: str,
  caption: str,
  x_title: str,
  key: str,
) -> Html:
  """The figure; a point has sampler, budget, x, y, interval and on_front.

  Of very many points only those on the front and Random's show intervals.
  """
  points = sorted(
    (p for p in points if p["x"] is not None and p["y"] is not None),
    key=lambda p: (p["x"], names.order(p["sampler"], p["budget"])),
  )
  samplers = sorted(
    {point["sampler"] for point in points}, key=lambda s: names.order(s, None)
  )
  bottom = _TOP + _PLOT
  x, y = _scales(points, bottom=bottom)
  places = _places(points, x, y)
  marks = svg.axes(
    x,
    y,
    x_title=x_title,
    y_title="final HQ loss, nats a token (less is better)",
  )
  marks += _lines(points, places, y)
  marks += _budgets(points, places)
  shapes = legend.shapes(samplers)
  for point, (across, down) in zip(points, places, strict=True):
    colour = names.colour_class(point["sampler"])
    shown = len(points) <= _INTERVALS or point["on_front"]
    if point.get("interval") and (shown or point["sampler"] == names.RANDOM):
      marks += svg.upright(point["interval"], y, across, class_=colour)
    shape = shapes[point["sampler"]]
    marks.append(svg.marker(shape, across, down, colour))
  marks.append(legend.draw(shapes, left=_LEFT, top=bottom + 52))
  return svg.figure(
    *marks,
    height=bottom + 48 + legend.height(len(samplers)),
    title=title,
    caption=caption,
    key=key,
  )


def _scales(
  points: Sequence[Mapping], *, bottom: float
) -> tuple[svg.Scale, svg.Scale]:
  """Frames of the means; intervals of few seeds may be far wider."""
  costs = [point["x"] for point in points] or [0.0, 1.0]
  losses = [point["y"] for point in points] or [0.0, 1.0]
  beside = 0.06 * (max(costs) - min(costs)) or 0.1 * abs(costs[0]) or 1.0
  beyond = _BEYOND * (max(losses) - min(losses)) or 0.1
  return (
    svg.Scale(
      max(min(costs) - beside, 0.0),
      max(costs) + beside,
      _LEFT,
      svg.WIDTH - _RIGHT,
    ),
    svg.Scale(min(losses) - beyond, max(losses) + beyond, bottom, _TOP),
  )


def _places(
  points: Sequence[Mapping], x: svg.Scale, y: svg.Scale
) -> list[tuple[float, float]]:
  """Where points are drawn: those of nearly one cost are moved apart."""
  found = [x(point["x"]) for point in points]
  for crowd in _crowds(found, _APART):
    real = [found[index] for index in crowd]
    gap = min(_APART, _WIDEST / len(crowd))
    moved = svg.spread(real, gap=gap, low=x.start, high=svg.WIDTH)
    # Around where they are, but within the frame.
    middle = (sum(moved) - sum(real)) / len(real)
    shift = min(middle, min(moved) - x.start)
    for index, place in zip(crowd, moved, strict=True):
      found[index] = round(place - shift, 2)
  return [(a, y(point["y"])) for a, point in zip(found, points, strict=True)]


def _crowds(places: Sequence[float], apart: float) -> list[list[int]]:
  """Indices of places, those together that lie closer than `apart`."""
  crowds: list[list[int]] = []
  for index in sorted(range(len(places)), key=lambda index: places[index]):
    if crowds and places[index] - places[crowds[-1][-1]] < apart:
      crowds[-1].append(index)
    else:
      crowds.append([index])
  return crowds


def _lines(
  points: Sequence[Mapping],
  places: Sequence[tuple[float, float]],
  y: svg.Scale,
) -> list[Html]:
  """The front, a step a point that is on it; and the line of Random."""
  pairs = list(zip(points, places, strict=True))
  on_front = sorted(place for point, place in pairs if point["on_front"])
  stairs = on_front[:1]
  for (_, before), (across, down) in itertools.pairwise(on_front):
    stairs += [(across, before), (across, down)]
  marks = []
  if stairs:
    # It goes on: whoever pays more can have what is there for less.
    stairs = [(stairs[0][0], y.end), *stairs]
    stairs.append((svg.WIDTH - _RIGHT, stairs[-1][1]))
    marks.append(svg.path(stairs, "front"))
  random = sorted(p for point, p in pairs if point["sampler"] == names.RANDOM)
  if len(random) > 1:
    colour = names.colour_class(names.RANDOM)
    marks.append(svg.path(random, f"lead-line {colour}"))
  return marks


def _budgets(
  points: Sequence[Mapping], places: Sequence[tuple[float, float]]
) -> list[Html]:
  """Budgets beside the points, where there is room for them."""
  taken = [(a - 6, d - 6, a + 6, d + 6) for a, d in places]
  marks = []
  for point, (across, down) in zip(points, places, strict=True):
    if point["sampler"] == names.FULL:
      continue
    words = names.budget_text(point["budget"])
    width = 7.4 * len(words)
    for left in (across + 7, across - 7 - width):
      box = (left, down - 5, left + width, down + 5)
      inside = _LEFT < box[0] and box[2] < svg.WIDTH - 2
      if inside and not any(_overlap(box, other) for other in taken):
        taken.append(box)
        marks.append(svg.text(left, down + 4, words, class_="tick halo"))
        break
  return marks


def _overlap(first: tuple, second: tuple) -> bool:
  return (
    first[0] < second[2]
    and second[0] < first[2]
    and first[1] < second[3]
    and second[1] < first[3]
  )
