# SPDX-License-Identifier: Apache-2.0
"""Whether SemDeDup and Density rank near-duplicates first, beside MinHash.

Two pools of real text. *Editions*: passages of five books, each with another
passage of its book, and half of them, drawn anew for each seed, also with the
same passage of another edition (windows are shifted, words edited). *Articles*:
1,000 newswire articles, of which 20 are nearly equal two by two. The AUC of a
method is the probability that it puts a record that has a near-duplicate before
one that has none:

  semdedup  the largest cosine to a record of the same cluster
  density   the mean kernel value to the pool, by the sketch
  MinHash   the largest estimated Jaccard index of 5-word shingles
            (the package datasketch, 128 permutations)

`--output configs/results/near_duplicates.json` keeps the table.
"""

import argparse
import functools
import gzip
import json
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import datasketch
import numpy as np

from data_efficient.evaluation import separation
from data_efficient.scorers import (
  bandwidth,
  clusters,
  density,
  hash_families,
  semdedup,
)
from tests.benchmarks import embedders, judging, report

_PAIRS = judging.SHARED / "data/pairs"
_PERMUTATIONS, _SHINGLE = 128, 5
_CLUSTERS = 8


class Pool(NamedTuple):
  """Rows of the texts, and which of them count.

  Attributes:
    rows: of all texts, the records of the pool.
    twins: records of the pool that have a near-duplicate in it.
    singles: records of the pool that have none.
  """

  rows: np.ndarray
  twins: np.ndarray
  singles: np.ndarray


def main() -> None:
  """Ranks, compares, prints and keeps."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--seeds", type=int, default=10)
  parser.add_argument("--output", type=pathlib.Path)
  options = parser.parse_args()
  found = {}
  for name, (texts, pools) in {
    "editions": _editions(options.seeds),
    "articles": _articles(options.seeds),
  }.items():
    found[name] = _measured(texts, pools)
    first = pools[0]
    found[name]["pool"] = {
      "records": len(first.rows),
      "with a near-duplicate": len(first.twins),
      "with none": len(first.singles),
    }
  _print(found)
  if options.output:
    options.output.write_text(json.dumps(found, indent=1) + "\n")


def _rows(name: str) -> list[dict]:
  with gzip.open(_PAIRS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
    return [json.loads(line) for line in file]


def _editions(seeds: int) -> tuple[list[str], list[Pool]]:
  pairs = _rows("gutenberg_editions")
  same = [pair for pair in pairs if pair["label"] == 1]
  anchors = [pair["text1"] for pair in same]
  twins = [pair["text2"] for pair in same]
  others = sorted({pair["text2"] for pair in pairs} - {*twins, *anchors})
  count, pools = len(anchors), []
  for seed in range(seeds):
    order = np.random.default_rng(seed).permutation(count)
    with_twin, without = np.sort(order[: count // 2]), order[count // 2 :]
    rest = np.arange(2 * count, 2 * count + len(others))
    rows = np.concatenate([np.arange(count), count + with_twin, rest])
    pools.append(Pool(rows, with_twin, np.sort(without)))
  return [*anchors, *twins, *others], pools


def _articles(seeds: int) -> tuple[list[str], list[Pool]]:
  documents = _rows("minhash_articles_docs")
  row = {document["id"]: at for at, document in enumerate(documents)}
  truth = _rows("minhash_articles_truth")
  twins = np.array(
    [row[pair[end]] for pair in truth for end in ("doc1", "doc2")]
  )
  rows = np.arange(len(documents))
  pool = Pool(rows, twins, np.setdiff1d(rows, twins))
  # The pool is the same; seeds are those of clusters and sketch.
  return [document["text"] for document in documents], [pool] * seeds


def _measured(texts: list[str], pools: list[Pool]) -> dict[str, dict]:
  """AUC of each method, over the pools."""
  methods: dict[str, Callable] = {"MinHash": _minhash(texts)}
  for name in embedders.EMBEDDERS:
    vectors = embedders.vectors(name, texts)
    methods[f"semdedup, {name}"] = functools.partial(_semdedup, vectors)
    methods[f"density, {name}"] = functools.partial(_density, vectors)
  return {
    name: _spread([_auc(method, pool, s) for s, pool in enumerate(pools)])
    for name, method in methods.items()
  }


def _auc(method: Callable, pool: Pool, seed: int) -> float:
  near = np.full(pool.rows.max() + 1, np.nan)
  near[pool.rows] = method(pool.rows, seed)
  return separation.auc([near[pool.twins]], [near[pool.singles]])


def _spread(values: Sequence[float]) -> dict[str, float]:
  return {
    "auc": round(statistics.mean(values), 4),
    "sd": round(statistics.stdev(values), 4),
  }


def _semdedup(vectors: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
  pool = np.zeros(
    len(rows), [("record", "i8"), ("vector", "f4", len(vectors[0]))]
  )
  pool["record"], pool["vector"] = np.arange(len(rows)), vectors[rows]
  scorer = semdedup.SemDeDup(
    clusters=clusters.KMeans(
      clusters=_CLUSTERS,
      sample_size=len(rows),
      iterations=20,
      rounds=_CLUSTERS,
      seed=seed,
      block=256,
    ),
    keep_one=False,
    block=256,
  )
  scorer.prepare(lambda split: iter([pool]))
  return -scorer.score(pool).columns["score"]


def _density(vectors: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
  """With the rule of gin/scorers/density.gin."""
  scorer = density.Density(
    num_rows=1000,
    num_buckets=20_000,
    family=hash_families.PStable(hashes_per_row=8, projection="dense"),
    bandwidth=bandwidth.NeighbourDistance(
      share=0.001, factor=1.5, sample_size=2048
    ),
    seed=seed,
    block=256,
  )
  pool = vectors[rows].astype(np.float32)
  scorer.prepare(lambda split: iter([pool]))
  return scorer.score(pool).columns["score"]


def _minhash(texts: Sequence[str]) -> Callable:
  """The largest share of equal minima with another record of the pool."""
  signatures = np.array([_signature(text) for text in texts])

  def near(rows: np.ndarray, seed: int) -> np.ndarray:
    del seed
    pool = signatures[rows]
    found = np.zeros(len(rows))
    for row, signature in enumerate(pool):
      equal = (pool == signature).mean(axis=1)
      equal[row] = 0
      found[row] = equal.max()
    return found

  return near


def _signature(text: str) -> np.ndarray:
  words = text.lower().split()
  starts = range(max(len(words) - _SHINGLE + 1, 1))
  made = datasketch.MinHash(num_perm=_PERMUTATIONS, seed=1)
  made.update_batch(
    " ".join(words[at : at + _SHINGLE]).encode() for at in starts
  )
  return made.hashvalues


def _print(found: dict[str, dict]) -> None:
  pools = {name: table.pop("pool") for name, table in found.items()}
  report.table(
    "AUC of records with a near-duplicate against records without, mean ± sd",
    ["", *(f"{n}: {p['records']} records" for n, p in pools.items())],
    [
      (
        method,
        *(
          f"{t[method]['auc']:.3f} ± {t[method]['sd']:.3f}"
          for t in found.values()
        ),
      )
      for method in next(iter(found.values()))
    ],
  )
  for name, pool in pools.items():
    found[name]["pool"] = pool


if __name__ == "__main__":
  main()
