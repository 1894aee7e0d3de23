# SPDX-License-Identifier: Apache-2.0
"""Kendall's τ of every pair of scorers as a heat map."""

from collections.abc import Sequence

from data_efficient.evaluation import markup, svg
from data_efficient.evaluation.markup import Html, element

_LARGEST = 44.0
# Narrower cells have no room for a number of four characters.
_READABLE = 27.0
# From this strength on a cell is so dark that its number is light.
_DARK = 0.55


def matrix(
  titles: Sequence[str], tau: Sequence[Sequence[float | int | None]]
) -> Html:
  """The figure.

  Args:
    titles: of the scorers.
    tau: a row a scorer in the same order; in [-1, 1], None where a scorer is
      constant.
  """
  labels = [
    f"{row} {svg.clipped(title, 22)}" for row, title in enumerate(titles, 1)
  ]
  left = 14 + 7.2 * max(map(len, labels))
  cell = min((svg.WIDTH - left - 8) / len(labels), _LARGEST)
  top = 22.0
  marks = []
  for row, values in enumerate(tau):
    y = top + cell * row
    words = labels[row]
    marks.append(
      svg.text(
        left - 6, y + cell / 2 + 4, words, class_="tick ink", anchor="end"
      )
    )
    across = left + cell * (row + 0.5)
    marks.append(
      svg.text(across, top - 7, str(row + 1), class_="tick", anchor="middle")
    )
    for column, value in enumerate(values):
      marks += _cell(value, left + cell * column, y, cell)
  caption = (
    "Kendall's τ: blue where two scorers agree, orange where they contradict "
    "each other, the stronger the more. Columns are numbered as rows are."
  )
  return svg.figure(
    *marks,
    height=top + cell * len(labels) + 6,
    title="Kendall's τ between scorers",
    caption=caption,
    key="agreement",
  )


def _cell(
  value: float | int | None, x: float, y: float, size: float
) -> list[Html]:
  strength = 0.0 if value is None else min(abs(value), 1.0)
  sign = "tau-minus" if (value or 0.0) < 0 else "tau-plus"
  marks = [
    element(
      "rect",
      x=round(x, 2),
      y=round(y, 2),
      width=round(size - 1, 2),
      height=round(size - 1, 2),
      class_=f"tau {sign}",
      fill_opacity=round(strength, 3),
    )
  ]
  if size >= _READABLE:
    tone = "tick on" if strength > _DARK else "tick ink"
    words = markup.number(value, 2)
    marks.append(
      svg.text(
        round(x + size / 2, 2),
        round(y + size / 2 + 4, 2),
        words,
        class_=tone,
        anchor="middle",
      )
    )
  return marks
