# SPDX-License-Identifier: Apache-2.0
"""The report's LaTeX, set by TeX itself where one is installed."""

import shutil
import subprocess

import pytest

from data_efficient.evaluation import document, latex
from tests.evaluation import contract

_DOCUMENT = r"""
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx,longtable}
\begin{document}
\input{report.tex}
\end{document}
"""
_HOSTILE = (
  "a & b % c $ d # e _ f { g } h ~ i ^ j \\ k < l > m | n [o] *p \" q ` r ' s"
  "\x00 \\input{x} \\\\"
)


@pytest.fixture
def tex():
  """The command; tests are skipped where there is none or not its packages."""
  found = shutil.which("pdflatex")
  if not found or not shutil.which("kpsewhich"):
    pytest.skip("no pdflatex or no kpsewhich: install TeX Live")
  for package in ("booktabs.sty", "longtable.sty", "graphicx.sty"):
    if subprocess.run(["kpsewhich", package], check=False).returncode:
      pytest.skip(f"TeX has no {package}: install it from TeX Live")
  return found


def _set(tex, directory, text):
  """Pages that TeX makes of tables; fails on any error of TeX."""
  (directory / "report.tex").write_text(text)
  (directory / "paper.tex").write_text(_DOCUMENT)
  command = [tex, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
  for _ in range(2):  # the second knows the widths of long tables
    done = subprocess.run(
      command, cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
  assert "multiply" not in done.stdout
  return (directory / "paper.pdf").stat().st_size


def test_tables_of_two_networks_are_set(tex, tmp_path):
  assert _set(tex, tmp_path, latex.render(contract.results())) > 10_000


@pytest.mark.parametrize("rows", [2, 90])
def test_hostile_names_are_set(tex, tmp_path, rows):
  cell = document.Cell(_HOSTILE, (_HOSTILE, "*"), True)
  found = document.grouped(
    _HOSTILE, [_HOSTILE, "b"], {_HOSTILE: [[cell, cell]] * rows}, key="k"
  )
  assert _set(tex, tmp_path, latex.table(found)) > 1_000
