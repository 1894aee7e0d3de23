# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page, from `results.json` and examples.

No script, no network, nothing but the two arguments: the same arguments give
the same bytes. A content security policy forbids the page to load or run
anything, should a corpus ever get past the escaping. What the page says is
composed by `report`; here it only becomes HTML.
"""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import document, report, style
from data_efficient.evaluation.markup import Html, element, join

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(results: Mapping, examples: Mapping) -> str:
  """The report as one HTML page.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
    examples: sampler -> {"kept": [...], "dropped": [...]}; each example
      {"id", "source", "score", "text"} and optionally "where". May be empty.
  """
  return write(report.composed(results, examples))


def write(found: document.Report) -> str:
  """A report as one HTML page."""
  skip = f"#{found.figures}"
  body = element(
    "body",
    element("a", "Skip to the figures", href=skip, class_="skip"),
    _header(found),
    element("main", *map(_section, found.sections)),
  )
  page = element("html", _head(found.title), body, lang="en")
  return f"<!DOCTYPE html>\n{page}\n"


def _head(title: str) -> Html:
  return element(
    "head",
    element("meta", charset="utf-8"),
    element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
    element(
      "meta", name="viewport", content="width=device-width, initial-scale=1"
    ),
    element("title", title),
    element("style", Html(style.CSS)),
  )


def _header(found: document.Report) -> Html:
  return element(
    "header",
    element("h1", found.title),
    element("p", found.lead, class_="lead"),
    element("p", found.size, class_="soft"),
  )


def _section(section: document.Section) -> Html:
  if not section.title:
    return html(section.blocks)
  return element(
    "section",
    element("h2", section.title, id=f"{section.key}-title"),
    html(section.blocks),
    id=section.key,
    aria_labelledby=f"{section.key}-title",
  )


def html(blocks: Sequence) -> Html:
  """Blocks of a document, one after the other."""
  return join(*map(_block, blocks))


def _block(block) -> Html:
  match block:
    case document.Paragraph(text, soft):
      return element("p", text, class_="soft" if soft else None)
    case document.Heading(text):
      return element("h3", text)
    case document.Listing(entries, kind):
      return element("ul", *map(_entry, entries), class_=kind or None)
    case document.Facts(pairs):
      found = [
        join(element("dt", key), element("dd", value))
        for key, value in pairs.items()
      ]
      return element("dl", *found)
    case document.Figures(drawings):
      if len(drawings) == 1:
        return drawings[0]
      return element("div", *drawings, class_="figures")
    case document.Markup(found):
      return found
    case document.Code(text):
      return element("pre", text)
    case document.Folded(title, inner):
      return element("details", element("summary", title), html(inner))
  return table(block)


def _entry(entry: document.Entry) -> Html:
  label = (element("b", entry.label),) if entry.label else ()
  return element("li", *label, entry.text, class_=entry.kind or None)


def table(found: document.Table) -> Html:
  """A table in a frame that scrolls sideways and can be reached by keyboard."""
  head = [element("th", cell, scope="col") for cell in found.header]
  bodies = [_group(group, len(found.header)) for group in found.groups]
  name = f"table-{found.key}"
  return element(
    "div",
    element(
      "table",
      element("caption", found.caption, id=name),
      element("thead", element("tr", *head)),
      *bodies,
    ),
    class_="scroll",
    role="region",
    tabindex=0,
    aria_labelledby=name,
  )


def _group(group: document.Group, columns: int) -> Html:
  title = ()
  if group.title:
    # A part of the cell stays in sight when the table is scrolled.
    words = element("span", group.title)
    across = {"colspan": columns, "scope": "rowgroup", "class_": "group"}
    title = (element("tr", element("th", words, **across)),)
  rows = [
    element(
      "tr",
      element("th", _cell(row[0]), scope="row"),
      *(element("td", _cell(cell)) for cell in row[1:]),
    )
    for row in group.rows
  ]
  return element("tbody", *title, *rows)


def _cell(cell: document.Cell) -> Html:
  text = element("b", cell.text) if cell.bold else join(cell.text)
  under = [element("span", line, class_="under") for line in cell.under]
  return join(text, *under)
