# SPDX-License-Identifier: Apache-2.0
"""LaTeX without TeX: balanced braces and columns, nothing unescaped.

tests/parity compiles it, where there is a TeX.
"""

import re

import pytest

from data_efficient.evaluation import document, latex
from tests.evaluation import contract

HOSTILE = (
  "a & b % c $ d # e _ f { g } h ~ i ^ j \\ k < l > m | n [o] *p\x00 q--r"
)
# A character that LaTeX would read as a command, not escaped.
_BARE = re.compile(r"(?<!\\)(?:\\\\)*[&%$#_~^]")


def _balanced(text):
  depth = 0
  for character in re.sub(r"\\[{}\\]", "", text):
    depth += {"{": 1, "}": -1}.get(character, 0)
    assert depth >= 0, text
  return depth == 0


def _columns(line):
  """Columns that a row of a table fills."""
  cells = re.sub(r"\\&", "", line).split("&")
  across = re.search(r"\\multicolumn\{(\d+)\}", line)
  return len(cells) - 1 + (int(across[1]) if across else 1)


def _check(text):
  """Every table of LaTeX; returns how many rows each has."""
  assert _balanced(text)
  found = []
  tables = re.findall(
    r"\\begin\{(tabular|longtable)\}\{@\{\}(\w+)@\{\}\}(.*?)\\end\{\1\}",
    text,
    re.DOTALL,
  )
  for _, columns, body in tables:
    rows = [
      line
      for line in body.splitlines()
      if line.endswith(r" \\") and not line.startswith(r"\caption")
    ]
    assert {_columns(row) for row in rows} == {len(columns)}
    assert re.findall(r"\\(top|bottom)rule", body).count("bottom") == 1
    found.append(len(rows))
  begun = re.findall(r"\\begin\{(\w+)\}", text)
  assert sorted(begun) == sorted(re.findall(r"\\end\{(\w+)\}", text))
  return found


def test_specials_are_escaped():
  found = latex.escape(HOSTILE)
  assert _balanced(found)
  plain = re.sub(r"\\text\w+\{\}", "", found)
  assert not _BARE.search(plain)
  assert not re.search(r"\\(?![&%$#_{}])", plain)
  assert found.startswith(
    r"a \& b \% c \$ d \# e \_ f \{ g \} h \textasciitilde{}"
  )
  assert r"{[}o{]} {*}p" in found and "q-{}-r" in found
  assert latex.escape("−1 ± 2 × τ – ≥") == (
    r"$-$1 $\pm$ 2 $\times$ $\tau$ \textendash{} $\geq$"
  )


def test_a_table():
  rows = {
    "T5 & co": [["x_y", document.Cell("1", ("0 to 2", "n"), True), "5"]],
    "": [["z", "", "6"]],
  }
  table = document.grouped(
    "50% of it", ["Sampler", "Final loss of a kind", "b"], rows, key="k"
  )
  assert latex.table(table).splitlines() == [
    r"\begin{table}",
    r"\centering",
    r"\caption{50\% of it}",
    r"\label{tab:k}",
    r"\small",
    latex._FIT,
    r"\begin{tabular}{@{}lrr@{}}",
    r"\toprule",
    r" & Final loss of &  \\",
    r"Sampler & a kind & b \\",
    r"\midrule",
    r"\multicolumn{3}{@{}l}{\emph{T5 \& co}} \\",
    r"x\_y & \textbf{1} & 5 \\",
    r" & {\scriptsize 0 to 2} &  \\",
    r" & {\scriptsize n} &  \\",
    r"\addlinespace",
    r"\midrule",
    r"z &  & 6 \\",
    r"\bottomrule",
    r"\end{tabular}%",
    r"}",
    r"\end{table}",
  ]


@pytest.mark.parametrize("rows", [3, 100])
def test_columns_balance_whatever_names_are(rows):
  cell = document.Cell(HOSTILE, (HOSTILE, "x"))
  table = document.grouped(
    HOSTILE, [HOSTILE, "b", ""], {HOSTILE: [[cell, "1", cell]] * rows}, key="k"
  )
  (found,) = _check(latex.table(table))
  assert found >= 3 * rows
  assert (r"\endhead" in latex.table(table)) == (rows == 100)


def test_every_table_of_a_report_balances():
  results = contract.results(samplers=("random", "ask_llm"), evaluations=4)
  for row in results["samplers"] + results["runs"]:
    if row["sampler"] == "ask_llm":
      row["sampler"] = HOSTILE
  text = latex.render(results)
  found = _check(text)
  assert len(found) == text.count(r"\label{tab:") > 10
  labels = re.findall(r"\\label\{([^}]*)\}", text)
  assert len(labels) == len(set(labels))
  assert text.isascii()
