# SPDX-License-Identifier: Apache-2.0
"""A dot with its interval a sampler, in percent of what Full needs."""

from collections.abc import Sequence
from typing import NamedTuple

from data_efficient.evaluation import svg
from data_efficient.evaluation.markup import Html
from data_efficient.evaluation.svg import Number

_ROW = 26.0
_MARK = 12.0
_TOP = 24.0
# Scoring may cost many times the training; the frame ends at three times it.
_LONGEST = 3.0
_NOTE = 34.0


class Mark(NamedTuple):
  """A share of what Full needs: 1 is as much; its interval, if any."""

  shape: str
  share: Number
  interval: tuple[Number, Number] | None


class Row(NamedTuple):
  """A sampler's marks; `note` stands at the end of its row."""

  label: str
  colour: str
  marks: list[Mark]
  note: str


def dots(
  rows: Sequence[Row],
  *,
  title: str,
  caption: str,
  x_title: str,
  paper: Number | None,
  key: str,
  legend: Sequence[tuple[str, str]] = (),
) -> Html:
  """The figure.

  Args:
    rows: a sampler and budget each, in the order of the figure.
    title: what a screen reader says of it.
    caption: what it shows.
    x_title: of the axis, in percent.
    paper: share that the paper reports, as a dotted line; None: none.
    key: unique on the page.
    legend: (words, shape) of the marks, where there are several.
  """
  labels = [svg.clipped(row.label) for row in rows]
  tall = [max(_ROW, _MARK * len(row.marks) + 8) for row in rows]
  top = _TOP + 15.0 * len(legend)
  bottom = top + sum(tall)
  left = 16 + 7.2 * max(map(len, labels), default=0)
  note = _NOTE if any(row.note for row in rows) else 12.0
  x = svg.Scale(0.0, _end(rows), left, svg.WIDTH - note)
  marks = _legend(legend) + svg.x_axis(
    x, top=top - 6, bottom=bottom, title=x_title, times=100.0
  )
  marks += _references(x, paper, top=top - 6, bottom=bottom)
  place = top
  for row, label, height in zip(rows, labels, tall, strict=True):
    y = place + height / 2
    words = f"label {row.colour}"
    marks.append(svg.text(left - 8, y + 4, label, class_=words, anchor="end"))
    marks += _row(row, x, y)
    place += height
  return svg.figure(
    *marks, height=bottom + 42, title=title, caption=caption, key=key
  )


def _end(rows: Sequence[Row]) -> float:
  """The frame: all means and intervals, but at most three times Full."""
  found = [mark.share for row in rows for mark in row.marks]
  found += [m.interval[1] for row in rows for m in row.marks if m.interval]
  return 1.04 * min(max([1.0, *found]), _LONGEST)


def _legend(legend: Sequence[tuple[str, str]]) -> list[Html]:
  marks = []
  for index, (words, shape) in enumerate(legend):
    y = 9 + 15.0 * index
    marks.append(svg.marker(shape, 12, y, "c-full"))
    marks.append(svg.text(24, y + 4, words, class_="tick"))
  return marks


def _references(
  x: svg.Scale, paper: Number | None, *, top: Number, bottom: Number
) -> list[Html]:
  marks = [svg.line(x(1.0), top, x(1.0), bottom, "target")]
  # Two labels beside one another: each on its own side of its line.
  marks.append(
    svg.text(x(1.0), top - 4, "Full", class_="tick", anchor="middle")
  )
  if paper is not None:
    marks.append(svg.line(x(paper), top, x(paper), bottom, "reference"))
    words = f"paper {100 * paper:.0f}%"
    marks.append(
      svg.text(x(paper), top - 4, words, class_="tick", anchor="end")
    )
  return marks


def _row(row: Row, x: svg.Scale, y: Number) -> list[Html]:
  marks = []
  start = y - _MARK * (len(row.marks) - 1) / 2
  for index, mark in enumerate(row.marks):
    at = start + _MARK * index
    if mark.interval:
      marks += svg.whisker(mark.interval, x, at, class_=row.colour)
    if mark.share > x.high:
      words = f"{100 * mark.share:,.0f}%"
      marks += svg.whisker((mark.share, mark.share), x, at, class_=row.colour)
      marks.append(
        svg.text(x.end - 10, at + 4, words, class_="tick", anchor="end")
      )
    else:
      marks.append(svg.marker(mark.shape, x(mark.share), at, row.colour))
  if row.note:
    marks.append(
      svg.text(svg.WIDTH - 2, y + 4, row.note, class_="tick", anchor="end")
    )
  return marks
