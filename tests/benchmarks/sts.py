# SPDX-License-Identifier: Apache-2.0
"""How well cosines of embeddings agree with people: STS 2012 to 2014.

Spearman's correlation of the cosine of two sentences and how alike people said
that they are, 0 to 5. `--output configs/results/sts.json` keeps the table.
"""

import argparse
import gzip
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.feature_extraction import text as text_features

from tests.benchmarks import embedders, judging, report

_PAIRS = judging.SHARED / "data/pairs/sts_2012_2014.jsonl.gz"


class Pairs(NamedTuple):
  """Sentences two by two, how alike they are, and of which year."""

  left: list[str]
  right: list[str]
  gold: np.ndarray
  years: np.ndarray


def main() -> None:
  """Embeds, compares, prints and keeps."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--output", type=pathlib.Path)
  options = parser.parse_args()
  pairs = _read()
  table = {
    name: _correlations(pairs, cosines(pairs))
    for name, cosines in _EMBEDDERS.items()
  }
  years = [*table["minilm"]]
  report.table(
    f"Spearman's correlation, {len(pairs.gold):,} pairs of STS",
    ["", *years],
    [(name, *found.values()) for name, found in table.items()],
  )
  if options.output:
    found = {"pairs": len(pairs.gold), "spearman": table}
    options.output.write_text(json.dumps(found, indent=1) + "\n")


def _read() -> Pairs:
  with gzip.open(_PAIRS, "rt", encoding="utf-8") as lines:
    rows = [json.loads(line) for line in lines]
  return Pairs(
    [row["text1"] for row in rows],
    [row["text2"] for row in rows],
    np.array([row["label"] for row in rows]),
    np.array([row["year"] for row in rows]),
  )


def _correlations(pairs: Pairs, cosines: np.ndarray) -> dict[str, float]:
  """By year and of all pairs."""
  found = {}
  for year in [*sorted(set(pairs.years)), "all"]:
    rows = pairs.years == year if year != "all" else slice(None)
    value = stats.spearmanr(cosines[rows], pairs.gold[rows]).statistic
    found[str(year)] = round(float(value), 4)
  return found


def _of(name: str) -> Callable[[Pairs], np.ndarray]:
  def cosines(pairs: Pairs) -> np.ndarray:
    vectors = embedders.vectors(name, [*pairs.left, *pairs.right])
    return _cosines(vectors[: len(pairs.left)], vectors[len(pairs.left) :])

  return cosines


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
  norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
  products = np.einsum("nd,nd->n", left, right)
  return np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)


def _words(pairs: Pairs) -> np.ndarray:
  """Cosine of two sentences' sets of words."""
  counter = text_features.CountVectorizer(binary=True, token_pattern=r"\w+")
  counter.fit([*pairs.left, *pairs.right])
  return _shared(counter, pairs.left, pairs.right)


def _shared(counter, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
  left, right = counter.transform(left), counter.transform(right)
  both = np.asarray(left.multiply(right).sum(axis=1))[:, 0]
  sizes = np.asarray(left.sum(axis=1) * 1.0)[:, 0]
  sizes = np.sqrt(sizes * np.asarray(right.sum(axis=1))[:, 0])
  return np.divide(both, sizes, out=np.zeros_like(sizes), where=sizes > 0)


_EMBEDDERS = {
  **{name: _of(name) for name in embedders.EMBEDDERS},
  "words": _words,
}


if __name__ == "__main__":
  main()
