# SPDX-License-Identifier: Apache-2.0
"""The verb `report`: results.json and examples to one page, and its tables."""

import json
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli import examples
from data_efficient.data import artifacts, prepared
from data_efficient.evaluation import figures, latex, markdown, page
from data_efficient.evaluation import report as sections


def report(
  *,
  corpus: prepared.Prepared | None,
  experiment: str,
  samplers: Sequence[str] | None,
  scores: Mapping[str, str],
) -> None:
  """Writes index.html, report.md and report.tex from results.json.

  The first has everything in one file; Markdown has its sentences and tables,
  LaTeX its tables; hq_loss.svg is its main curve by itself.

  Args:
    corpus: where the examples' text is read; None: the page has no examples.
    experiment: directory with results.json and selections/.
    samplers: whose examples are shown; None: of all that are there.
    scores: sampler -> its score set (in the experiment), for the examples.

  Raises:
    ValueError: no results.json, or one that is damaged.
  """
  root = pathlib.Path(experiment)
  try:
    results = json.loads((root / "results.json").read_bytes())
    sections.check(results)
  except (OSError, ValueError) as error:  # JSON's and UTF-8's are ValueErrors
    raise ValueError(
      f"{root / 'results.json'}: {error}; run the verb `evaluate` first"
    ) from error
  shown = {}
  if corpus:
    shown = examples.collect(corpus, root, samplers, scores)
  text = page.render(results, shown)
  artifacts.atomic_write(root / "index.html", text.encode())
  markdown_text = markdown.render(results)
  artifacts.atomic_write(root / "report.md", markdown_text.encode())
  artifacts.atomic_write(root / "report.tex", latex.render(results).encode())
  curves = figures.picture(results, "hq_loss")
  artifacts.atomic_write(root / "hq_loss.svg", curves.encode())
  print(root / "index.html")
