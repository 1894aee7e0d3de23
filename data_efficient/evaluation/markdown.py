# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown, in GitHub's dialect.

Text of a corpus or a name is escaped wherever it could be markup: HTML, links,
emphasis, formulas, and the bars that end a table's cell.
"""

import re
from collections.abc import Mapping, Sequence

from data_efficient.evaluation import document, markup, report

_MARKS = re.compile(r"([\\`*_\[\]<>|~$&#])")
# What begins a list, or is a rule or the line under a heading.
_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=](?:\s|$))|(?=(?:-+|=+)$))")


def render(results: Mapping) -> str:
  """Every sentence and table of the page; its drawings stand on the page.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
  """
  return write(report.composed(results, {}))


def write(found: document.Report) -> str:
  """A report as Markdown."""
  words, picture = found.picture
  parts = [
    f"# {escape(found.title)}",
    f"**{escape(found.lead)}**",
    escape(found.size),
    f"![{escape(words)}]({picture})",
  ]
  for section in found.sections:
    inner = blocks(section.blocks)
    if inner and section.title:
      parts.append(f"## {escape(section.title)}")
    parts += inner
  return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
  """Text on one line that Markdown shows as it is."""
  line = " ".join(markup.visible(text).split())
  return _START.sub(r"\1\\", _MARKS.sub(r"\\\1", line))


def blocks(found: Sequence) -> list[str]:
  """Blocks, each without the line ends around it; drawings are left out."""
  return [text for block in found for text in _block(block)]


def _block(block) -> list[str]:
  match block:
    case document.Paragraph(text, _):
      return [escape(text)] if text else []
    case document.Listing(entries, _):
      return ["\n".join(map(_entry, entries))]
    case document.Facts(pairs):
      lines = [f"- {escape(k)}: {escape(v)}" for k, v in pairs.items()]
      return ["\n".join(lines)]
    case document.Folded(title, inner):
      code = any(isinstance(each, document.Code) for each in inner)
      found = [] if code else blocks(inner)
      return [f"### {escape(title)}", *found] if found else []
    case document.Table():
      return [f"{escape(block.caption)}", table(block)]
  # Headings are those of drawings; drawings and code stand on the page.
  return []


def _entry(entry: document.Entry) -> str:
  label = f"**{escape(entry.label)}** " if entry.label else ""
  return f"- {label}{escape(entry.text)}"


def table(found: document.Table) -> str:
  """A table of GitHub's; titles between rows are rows of their own."""
  lines = [
    _row(map(escape, found.header)),
    _row(["---", *["---:"] * (len(found.header) - 1)]),
  ]
  for group in found.groups:
    if group.title:
      empty = [""] * (len(found.header) - 1)
      lines.append(_row([f"**{escape(group.title)}**", *empty]))
    lines += [_row(map(_cell, row)) for row in group.rows]
  return "\n".join(lines)


def _row(cells) -> str:
  return f"| {' | '.join(cells)} |"


def _cell(cell: document.Cell) -> str:
  text = escape(cell.text)
  if cell.bold:
    text = f"**{text}**"
  return "<br>".join([text, *map(escape, cell.under)])
