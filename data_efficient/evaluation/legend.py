# SPDX-License-Identifier: Apache-2.0
"""Which mark is whose in a figure of several methods: colours and shapes."""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import names, svg
from data_efficient.evaluation.markup import Html, element

_LINE = 17.0
_COLUMNS = 2
# Characters that have room in a column.
_CHARACTERS = 22


def shapes(methods: Sequence[str]) -> dict[str, str]:
  """A shape a method; those of one colour have different ones."""
  counts: dict[str, int] = {}
  found = {}
  for method in methods:
    colour = names.colour_class(method)
    found[method] = svg.SHAPES[counts.get(colour, 0) % len(svg.SHAPES)]
    counts[colour] = counts.get(colour, 0) + 1
  return found


def height(count: int) -> float:
  """What the legend of so many methods takes of a figure, in user units."""
  return _LINE * -(-count // _COLUMNS)


def draw(shapes: Mapping[str, str], *, left: float, top: float) -> Html:
  """Marks with the names of their methods beside them, in two columns.

  Args:
    shapes: method -> its shape, in the order of the legend.
    left: where the first column begins.
    top: where the words of the first line stand.
  """
  marks = []
  for index, (method, shape) in enumerate(shapes.items()):
    across = left + (svg.WIDTH - left) / _COLUMNS * (index % _COLUMNS)
    down = top + _LINE * (index // _COLUMNS)
    colour = names.colour_class(method)
    words = svg.clipped(names.title(method), _CHARACTERS)
    marks.append(svg.marker(shape, across + 5, down - 4, colour))
    marks.append(svg.text(across + 16, down, words, class_=f"label {colour}"))
  return element("g", *marks)
