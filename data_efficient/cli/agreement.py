# SPDX-License-Identifier: Apache-2.0
"""The verb `agreement`: score sets of one corpus to how alike they rank it."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient.data import artifacts, prepared, score_sets
from data_efficient.evaluation import agreement as agreements
from data_efficient.evaluation import separation

FILE = "agreement.json"


def agreement(
  *,
  corpus: prepared.Prepared,
  scores: Mapping[str, str],
  split: str,
  against: Sequence[str],
  fractions: Sequence[float],
  output: str,
) -> None:
  """Writes OUTPUT/agreement.json and prints it as a table.

  Args:
    corpus: what was scored.
    scores: what a table calls a score set -> its directory.
    split: whose records are ranked.
    against: splits that each score is to tell from `split`: the area under
      the ROC curve says how well it does.
    fractions: sizes of the top sets that are compared, each in (0, 1).
    output: directory.

  Raises:
    ValueError: see `ArtifactError` and `evaluation.agreement.compare`.
  """
  values = {name: read(corpus, path) for name, path in scores.items()}
  masks = {name: corpus.mask([name]) for name in (split, *against)}

  def of(name: str, chosen: str) -> np.ndarray:
    parts = [
      column[masks[chosen][shard]] for shard, column in values[name].items()
    ]
    return np.concatenate(parts)

  found = agreements.compare(
    {name: of(name, split) for name in values}, fractions
  )
  found["auc"] = {
    name: {
      other: separation.auc([of(name, other)], [of(name, split)])
      for other in against
    }
    for name in values
  }
  directory = pathlib.Path(output)
  directory.mkdir(parents=True, exist_ok=True)
  text = json.dumps(found, indent=2, sort_keys=True) + "\n"
  artifacts.atomic_write(directory / FILE, text.encode())
  _print(found, list(fractions))
  print(directory / FILE)


def read(
  corpus: prepared.Prepared, directory: artifacts.PathLike
) -> dict[str, np.ndarray]:
  """The scores of each shard, float [n], NaN where there is none.

  Raises:
    ArtifactError: no score set there, or one of another corpus.
  """
  found = score_sets.ScoreSet.open(directory)
  found.check_corpus(corpus.index.describe())
  return found.read(["score"])["score"]


def _print(found: dict[str, Any], fractions: list[float]) -> None:
  from rich import console, table

  pairs = table.Table(
    *("", "", "Kendall τ"),
    *(f"top {share:.0%} in common" for share in fractions),
  )
  for pair in found["pairs"]:
    shares = [f"{share:.1%}" for share in pair["overlap"].values()]
    tau = "–" if pair["kendall"] is None else f"{pair['kendall']:+.3f}"
    pairs.add_row(pair["first"], pair["second"], tau, *shares)
  shown = console.Console()
  shown.print(f"{found['records']:,} records")
  shown.print(pairs)
  for name, others in found["auc"].items():
    for other, value in others.items():
      if value is not None:
        shown.print(f"{name}: AUC {value:.3f} for {other}", highlight=False)
