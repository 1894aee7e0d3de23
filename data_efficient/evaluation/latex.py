# SPDX-License-Identifier: Apache-2.0
r"""The report's tables as LaTeX, for `\input` in a paper.

Needs booktabs and graphicx, and longtable for those that do not fit a page.
Characters that LaTeX reads as commands are escaped; what stands beneath a
figure becomes a line of its own in small print.
"""

import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from data_efficient.evaluation import document, markup, report

_HEADER = r"""% Tables of a report; each number is that of results.json.
% \usepackage{booktabs,graphicx}
% \usepackage{longtable}   % for tables longer than a page
"""
# A table that is wider than the text is scaled down to it.
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
# Between two of these, which TeX would make one sign of.
_LIGATURE = re.compile("(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)")
# Characters of a column's title on one line.
_COLUMN = 14
# Rows of a page; a float cannot be longer.
_PAGE = 40
# Columns of a table that no ordinary page is wide enough for; a longtable
# cannot be scaled.
_WIDE = 9
_SPECIAL = {
  **{character: f"\\{character}" for character in "&%$#_{}"},
  "\\": r"\textbackslash{}",
  "~": r"\textasciitilde{}",
  "^": r"\textasciicircum{}",
  "<": r"\textless{}",
  ">": r"\textgreater{}",
  "|": r"\textbar{}",
  '"': r"{\char34}",
  "`": r"\textasciigrave{}",
  # After a line's end these would be read as its arguments.
  **{character: f"{{{character}}}" for character in "[]*"},
  "−": "$-$",
  "–": r"\textendash{}",
  "…": r"\ldots{}",
  "±": r"$\pm$",
  "×": r"$\times$",
  "≥": r"$\geq$",
  "≤": r"$\leq$",
  "Σ": r"$\Sigma$",
  "τ": r"$\tau$",
  "²": r"$^2$",
  "·": r"$\cdot$",
  "⟦": r"{[}{[}",
  "⟧": r"{]}{]}",
}


def render(results: Mapping) -> str:
  """Every table of the page.

  Args:
    results: what `results.assemble` returns, or the same read from JSON.
  """
  return write(report.sections(results, {}))


def write(sections: Sequence[document.Section]) -> str:
  """Every table of some sections."""
  return "\n".join([_HEADER, *map(table, document.tables(sections))])


def escape(text: str) -> str:
  """Text on one line that LaTeX sets as it is.

  Letters of other scripts stay: a document that has them needs an engine and
  a font that have them too.
  """
  line = " ".join(markup.visible(text).split())
  written = "".join(_SPECIAL.get(character, character) for character in line)
  return _LIGATURE.sub("{}", written)


def table(found: document.Table) -> str:
  """A float, or a longtable where it would not fit a page."""
  columns = "l" + "r" * (len(found.header) - 1)
  caption = f"\\caption{{{escape(found.caption)}}}"
  label = f"\\label{{tab:{found.key}}}"
  header = [
    r"\toprule",
    *(f"{_row(line)} \\\\" for line in _header(found.header)),
    r"\midrule",
  ]
  rows = list(_rows(found))
  lines = sum(len(group.rows) for group in found.groups)
  if lines <= _PAGE:
    body = [
      *(r"\begin{table}", r"\centering", caption, label, r"\small"),
      *(_FIT, f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}"),
      *(*header, *rows, r"\bottomrule", r"\end{tabular}%", "}"),
      r"\end{table}",
    ]
  else:
    body = [
      "{\\tiny" if len(found.header) > _WIDE else "{\\scriptsize",
      r"\setlength{\tabcolsep}{3pt}",
      f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
      f"{caption}{label} \\\\",
      *(*header, r"\endfirsthead", *header, r"\endhead"),
      *(r"\bottomrule", r"\endfoot"),
      *(*rows, r"\end{longtable}", "}"),
    ]
  return "\n".join([*body, ""])


def _rows(found: document.Table) -> Iterator[str]:
  for number, group in enumerate(found.groups):
    if number:
      yield r"\midrule"
    if group.title:
      title = f"\\emph{{{escape(group.title)}}}"
      yield f"\\multicolumn{{{len(found.header)}}}{{@{{}}l}}{{{title}}} \\\\"
    for row in group.rows:
      yield from _lines(row)


def _lines(row: Sequence[document.Cell]) -> Iterator[str]:
  """The figures of a row; then, line by line, what stands beneath them."""
  yield f"{_row(map(_cell, row))} \\\\"
  beneath = list(
    itertools.zip_longest(*(cell.under for cell in row), fillvalue="")
  )
  for line in beneath:
    yield f"{_row(map(_small, line))} \\\\"
  if beneath:
    yield r"\addlinespace"


def _row(cells) -> str:
  return " & ".join(cells)


def _header(titles: Sequence[str]) -> list[tuple[str, ...]]:
  """Titles of columns, broken into lines, on the same last line."""
  broken = [textwrap.wrap(title, _COLUMN) or [""] for title in titles]
  high = max(map(len, broken))
  filled = [[""] * (high - len(lines)) + lines for lines in broken]
  return [tuple(map(escape, line)) for line in zip(*filled, strict=True)]


def _cell(cell: document.Cell) -> str:
  text = escape(cell.text)
  return f"\\textbf{{{text}}}" if cell.bold else text


def _small(text: str) -> str:
  return f"{{\\scriptsize {escape(text)}}}" if text else ""
