# SPDX-License-Identifier: Apache-2.0
"""Scales, ticks, frames and labels of small inline SVG figures.

Figures are drawn in user units for a phone's width: scaled up on a desk they
stay legible, which is not so the other way round. Colours come from the
page's style sheet, so that they follow light and dark.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from data_efficient.evaluation.markup import Html, element

WIDTH = 420.0
# Of points, when colour alone does not tell them apart.
SHAPES = ("disc", "square", "triangle", "diamond", "ring", "cross", "plus")

Number = float | int


class Scale(NamedTuple):
  """A linear map from [low, high] of the data to [start, end] of the paper."""

  low: Number
  high: Number
  start: float
  end: float

  def __call__(self, value: Number) -> float:
    """Where a value of the data lies on the paper, in user units."""
    share = (value - self.low) / ((self.high - self.low) or 1.0)
    return round(self.start + share * (self.end - self.start), 2)


def ticks(low: Number, high: Number, *, count: int) -> list[float]:
  """About `count` round numbers (1, 2 or 5 times a power of ten) in a range."""
  if not high > low:
    return [float(low)]
  raw = (high - low) / count
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * 1.0001)
  first = math.ceil(low / step - 1e-9)
  last = math.floor(high / step + 1e-9)
  return [round(index * step, 10) for index in range(first, last + 1)]


def tick_text(value: Number) -> str:
  """A tick's number, without digits that say nothing."""
  for unit, letter in ((1e9, "B"), (1e6, "M")):
    if abs(value) >= unit:
      return f"{value / unit:,.6g}{letter}".replace("-", "−")
  return f"{value:,.6g}".replace("-", "−")


def spread(places: Sequence[Number], *, gap: Number, low: Number, high: Number):
  """Places moved as little as needed so that they are at least `gap` apart.

  Labels of curves that end close together; the order is kept. Labels that
  cannot fit into [low, high] at that gap are set evenly over the range.
  """
  if not places:
    return []
  gap = min(gap, (high - low) / max(len(places) - 1, 1))
  order = sorted(range(len(places)), key=lambda index: places[index])
  moved = [min(max(places[index], low), high) for index in order]
  for index in range(1, len(moved)):
    moved[index] = max(moved[index], moved[index - 1] + gap)
  moved[-1] = min(moved[-1], high)
  for index in range(len(moved) - 2, -1, -1):
    moved[index] = min(moved[index], moved[index + 1] - gap)
  result = [0.0] * len(places)
  for index, place in zip(order, moved, strict=True):
    result[index] = round(place, 2)
  return result


def line(x1: Number, y1: Number, x2: Number, y2: Number, class_: str) -> Html:
  """A straight line with a style class."""
  return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(
  x: Number, y: Number, words: str, *, class_: str, anchor="start"
) -> Html:
  """A line of text; `anchor` is start, middle or end."""
  return element("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def path(points: Sequence[tuple[Number, Number]], class_: str) -> Html:
  """A line through points."""
  return element("path", d="M" + "L".join(_pairs(points)), class_=class_)


def area(points: Sequence[tuple[Number, Number]], class_: str) -> Html:
  """A closed, filled shape."""
  return element("path", d="M" + "L".join(_pairs(points)) + "Z", class_=class_)


def _pairs(points: Sequence[tuple[Number, Number]]) -> list[str]:
  return [f"{x:.2f} {y:.2f}" for x, y in points]


def clipped(words: str, characters: int = 26) -> str:
  """Words that have room beside a plot."""
  if len(words) <= characters:
    return words
  return f"{words[: characters - 1].rstrip()}…"


def marker(shape: str, x: Number, y: Number, colour: str) -> Html:
  """A point of one of `SHAPES`."""
  if shape in ("disc", "ring"):
    return element("circle", cx=x, cy=y, r=4, class_=f"{shape} {colour}")
  if shape in ("cross", "plus"):
    a, b = (3.5, 3.5) if shape == "cross" else (5.0, 0.0)
    first = f"M{x - a:.2f} {y - b:.2f}L{x + a:.2f} {y + b:.2f}"
    second = f"M{x - b:.2f} {y + a:.2f}L{x + b:.2f} {y - a:.2f}"
    return element("path", d=first + second, class_=f"mean {colour}")
  corners = {
    "square": [(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)],
    "triangle": [(0, -5), (4.8, 3.8), (-4.8, 3.8)],
    "diamond": [(0, -5.2), (5.2, 0), (0, 5.2), (-5.2, 0)],
  }[shape]
  return area([(x + a, y + b) for a, b in corners], f"disc {colour}")


def whisker(
  interval: Sequence[Number], x: Scale, y: Number, *, class_: str
) -> list[Html]:
  """An interval across; an arrow where it goes on beyond the frame."""
  low, high = interval
  low, high = (min(max(x(v), x.start), x.end) for v in (low, high))
  marks = [line(low, y, high, y, f"whisker {class_}")]
  for place, end, inward in ((low, x.start, 5), (high, x.end, -5)):
    if place == end:
      head = [(place + inward, y - 4), (place, y), (place + inward, y + 4)]
      marks.append(path(head, f"whisker {class_}"))
    else:
      marks.append(line(place, y - 4, place, y + 4, f"whisker {class_}"))
  return marks


def upright(
  interval: Sequence[Number], y: Scale, x: Number, *, class_: str
) -> list[Html]:
  """An interval upwards; an arrow where it goes on beyond the frame."""
  low, high = interval
  # The scale turns: a higher value has a lower place on the paper.
  foot, head = (min(max(y(v), y.end), y.start) for v in (low, high))
  marks = [line(x, head, x, foot, f"whisker {class_}")]
  for place, end, inward in ((foot, y.start, -5), (head, y.end, 5)):
    if place == end:
      tip = [(x - 3, place + inward), (x, place), (x + 3, place + inward)]
      marks.append(path(tip, f"whisker {class_}"))
    else:
      marks.append(line(x - 3, place, x + 3, place, f"whisker {class_}"))
  return marks


def drawing(
  *children: Html, height: Number, title: str, key: str, css: str = ""
) -> Html:
  """An SVG; `title` is what a screen reader says of it.

  With `css` it needs no page around it.
  """
  name = f"figure-{key}"
  if css:
    paper = element("rect", width="100%", height="100%", class_="paper")
    children = (element("style", Html(css)), paper, *children)
  return element(
    "svg",
    element("title", title, id=name),
    *children,
    viewBox=f"0 0 {WIDTH:g} {height:g}",
    width="100%",
    role="img",
    aria_labelledby=name,
    xmlns="http://www.w3.org/2000/svg",
  )


def figure(
  *children: Html, height: Number, title: str, caption: str, key: str
) -> Html:
  """A drawing with its caption."""
  picture = drawing(*children, height=height, title=title, key=key)
  return element("figure", picture, element("figcaption", caption))


def axes(
  x: Scale, y: Scale, *, x_title: str, y_title: str, x_count=4, y_count=7
) -> list[Html]:
  """Grid, tick numbers and titles of a plot whose y axis is on the left."""
  marks = []
  for value in ticks(y.low, y.high, count=y_count):
    marks.append(line(x.start, y(value), x.end, y(value), "grid"))
    marks.append(
      text(
        x.start - 6, y(value) + 4, tick_text(value), class_="tick", anchor="end"
      )
    )
  for value in ticks(x.low, x.high, count=x_count):
    marks.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
    marks.append(
      text(
        x(value), y.start + 17, tick_text(value), class_="tick", anchor="middle"
      )
    )
  marks.append(line(x.start, y.start, x.end, y.start, "axis"))
  middle = (x.start + x.end) / 2
  marks.append(
    text(middle, y.start + 33, x_title, class_="tick", anchor="middle")
  )
  marks.append(text(4, y.end - 8, y_title, class_="tick"))
  return marks


def x_axis(
  x: Scale, *, top: Number, bottom: Number, title: str, times: Number = 1
) -> list[Html]:
  """An axis under rows, its grid through them; ticks say `times` the value."""
  marks = [line(x.start, bottom, x.end, bottom, "axis")]
  for value in ticks(times * x.low, times * x.high, count=4):
    place = x(value / times)
    marks.append(line(place, top, place, bottom, "grid"))
    marks.append(
      text(place, bottom + 16, tick_text(value), class_="tick", anchor="middle")
    )
  middle = (x.start + x.end) / 2
  marks.append(text(middle, bottom + 33, title, class_="tick", anchor="middle"))
  return marks
