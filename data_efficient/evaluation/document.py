# SPDX-License-Identifier: Apache-2.0
"""What a report says, before it is HTML, Markdown or LaTeX.

Sections of paragraphs, lists and tables, all of plain text. Every number is
computed and rounded once, here; `page`, `markdown` and `latex` only write it
down, and each escapes what it writes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data_efficient.evaluation.markup import Html


class DocumentError(ValueError):
  """A table whose rows do not fit its header."""


class Cell(NamedTuple):
  """A figure, and what it rests on in small print under it."""

  text: str
  under: tuple[str, ...] = ()
  bold: bool = False


class Group(NamedTuple):
  """Rows that belong together, under a title or under none."""

  title: str
  rows: list[list[Cell]]


class Table(NamedTuple):
  """A table; `key` is unique in a report."""

  caption: str
  header: list[str]
  groups: list[Group]
  key: str


class Paragraph(NamedTuple):
  """A paragraph; soft ones explain."""

  text: str
  soft: bool = False


class Heading(NamedTuple):
  """A title within a section."""

  text: str


class Entry(NamedTuple):
  """An entry of a list; `kind` is its style class."""

  text: str
  label: str = ""
  kind: str = ""


class Listing(NamedTuple):
  """A list; `kind` is its style class."""

  entries: list[Entry]
  kind: str = ""


class Facts(NamedTuple):
  """Names with their values."""

  pairs: dict[str, str]


class Figures(NamedTuple):
  """Drawings side by side, of the page alone: a table says the same."""

  drawings: list[Html]


class Markup(NamedTuple):
  """What only the page shows."""

  html: Html


class Code(NamedTuple):
  """Text as it stands in a file, of the page alone."""

  text: str


class Folded(NamedTuple):
  """What is shown on demand."""

  title: str
  blocks: list


class Section(NamedTuple):
  """A part of the report; one without a title opens it."""

  title: str
  blocks: list
  key: str


class Report(NamedTuple):
  """A whole report.

  Attributes:
    title: of the page.
    lead: its first sentence.
    size: of what and of how much it speaks.
    sections: in their order.
    figures: key of the section that a keyboard jumps to.
    picture: (words, file) of a drawing that lies beside the report.
  """

  title: str
  lead: str
  size: str
  sections: list[Section]
  figures: str
  picture: tuple[str, str]


def table(
  caption: str,
  header: Sequence[str],
  rows: Sequence[Sequence[str | Cell]],
  *,
  key: str,
) -> Table:
  """A table of one group; plain text becomes a cell."""
  return grouped(caption, header, {"": rows}, key=key)


def grouped(
  caption: str,
  header: Sequence[str],
  groups: dict[str, Sequence[Sequence[str | Cell]]],
  *,
  key: str,
) -> Table:
  """A table with titles between its rows.

  Args:
    caption: what the table shows, in words.
    header: a cell a column.
    groups: title -> rows; the first cell of each row is its header.
    key: unique in the report.

  Raises:
    DocumentError: a row has not as many cells as the header.
  """
  found = []
  for title, rows in groups.items():
    for row in rows:
      if len(row) != len(header):
        raise DocumentError(
          f"table {key!r}: a row of {len(row)} cells under {len(header)} "
          f"columns: {list(row)}"
        )
    cells = [
      [c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows
    ]
    found.append(Group(title, cells))
  return Table(caption, list(header), found, key)


def tables(blocks: Sequence) -> Iterator[Table]:
  """Every table of sections and blocks, folded ones too, in their order."""
  for block in blocks:
    if isinstance(block, Table):
      yield block
    elif isinstance(block, (Folded, Section)):
      yield from tables(block.blocks)


def facts(values) -> list:
  """Names with their plain values, if there are any, as blocks.

  Nested ones and nulls are left to the JSON.
  """
  plain = {
    key.replace("_", " "): str(value)
    for key, value in values.items()
    if isinstance(value, (str, int, float))
  }
  return [Facts(plain)] if plain else []
