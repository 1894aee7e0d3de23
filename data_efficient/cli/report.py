# SPDX-License-Identifier: Apache-2.0
"""The verb `report`: results.json and examples to one page, and its tables."""

import json
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli import examples
from data_efficient.data import artifacts, prepared
from data_efficient.evaluation import (
  document,
  figures,
  latex,
  markdown,
  page,
)
from data_efficient.evaluation import report as sections
from data_efficient.evaluation.tuning import curves
from data_efficient.evaluation.tuning import report as tuning
from data_efficient.evaluation.tuning import results as tuning_results


def report(
  *,
  corpus: prepared.Prepared | None,
  experiment: str,
  samplers: Sequence[str] | None,
  scores: Mapping[str, str],
) -> None:
  """Writes index.html, report.md and report.tex from results.json.

  The first has everything in one file; Markdown has its sentences and tables,
  LaTeX its tables; hq_loss.svg is its main curve by itself. Of results of the
  verb `compare` it is quality.svg, and there are no examples.

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
    of_tuning = _is_of_tuning(results)
    (tuning if of_tuning else sections).check(results)
  except (OSError, ValueError) as error:  # JSON's and UTF-8's are ValueErrors
    raise ValueError(
      f"{root / 'results.json'}: {error}; run the verb `evaluate` first"
      " (of instructions: `compare`)"
    ) from error
  if of_tuning:
    _write(root, tuning.composed(results))
    drawings = {"quality.svg": curves.picture(results)}
  else:
    shown = {}
    if corpus:
      shown = examples.collect(corpus, root, samplers, scores)
    _write(root, sections.composed(results, shown))
    drawings = {"hq_loss.svg": figures.picture(results, "hq_loss")}
  for name, drawing in drawings.items():
    artifacts.atomic_write(root / name, drawing.encode())
  print(root / "index.html")


def _is_of_tuning(results: object) -> bool:
  return (
    isinstance(results, Mapping) and results.get("kind") == tuning_results.KIND
  )


def _write(root: pathlib.Path, found: document.Report) -> None:
  """The page; its sentences and tables as Markdown, its tables as LaTeX."""
  # Examples of a corpus's text stand on the page alone.
  own = [each for each in found.sections if each.key != "examples"]
  written = {
    "index.html": page.write(found),
    "report.md": markdown.write(found._replace(sections=own)),
    "report.tex": latex.write(own),
  }
  for name, text in written.items():
    artifacts.atomic_write(root / name, text.encode())
