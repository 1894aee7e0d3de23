# SPDX-License-Identifier: Apache-2.0
"""The verb `report`: results.json and examples to one page."""

import json
import pathlib
from collections.abc import Mapping, Sequence

from data_efficient.cli import examples
from data_efficient.data import artifacts, prepared
from data_efficient.evaluation import figures, page


def report(
  *,
  corpus: prepared.Prepared,
  experiment: str,
  samplers: Sequence[str] | None,
  scores: Mapping[str, str],
) -> None:
  """Writes index.html, and its main curve as hq_loss.svg, from results.json.

  Args:
    corpus: where the examples' text is read.
    experiment: directory with results.json and selections/.
    samplers: whose examples are shown; None: of all that are there.
    scores: sampler -> its score set (in the experiment), for the examples.

  Raises:
    ValueError: no results.json, or one that is damaged.
  """
  root = pathlib.Path(experiment)
  try:
    results = json.loads((root / "results.json").read_text())
  except (OSError, json.JSONDecodeError) as error:
    raise ValueError(
      f"{root / 'results.json'}: {error}; run the verb `evaluate` first"
    ) from error
  text = page.render(results, examples.collect(corpus, root, samplers, scores))
  artifacts.atomic_write(root / "index.html", text.encode())
  curves = figures.picture(results, "hq_loss")
  artifacts.atomic_write(root / "hq_loss.svg", curves.encode())
  print(root / "index.html")
