# SPDX-License-Identifier: Apache-2.0
"""The verb `select`: scores and a budget to a selection of the pool."""

import numpy as np

from data_efficient.data import prepared, score_sets, selections
from data_efficient.selection import budget as budgets
from data_efficient.selection import interface


def select(
  *,
  corpus: prepared.Prepared,
  sampler: str,
  selector: interface.Selector,
  budget: budgets.Budget,
  token_counts: str,
  output: str,
  seed: int,
  scores: str | None = None,
) -> None:
  """Keeps the records of the pool that the selector ranks first.

  Args:
    corpus: the corpus; only records of its pool can be kept.
    sampler: name in tables ("ask_llm", "density", …).
    selector: scores to priorities.
    budget: where the ranking is cut; fractions are of the pool.
    token_counts: directory of the token counts (a score set).
    output: directory of the selection.
    seed: of selectors that draw.
    scores: directory of the score set, for selectors that read one.

  Raises:
    ValueError: see `SelectionError` and `ArtifactError`.
  """
  index = corpus.index
  counts = _column(token_counts, index)
  values = _column(scores, index) if scores else None
  pool = corpus.mask(["pool"])
  priorities = selector.priorities(values, shards=index.shards, seed=seed)
  weights = selector.log_weights(values, shards=index.shards)
  kept, summary = _cut(pool, priorities, weights, counts, budget)
  identity = {
    "corpus": index.describe(),
    "pool": corpus.splits.pool.selection.identity,
    "sampler": sampler,
    "selector": selector.name,
    "budget": budget.describe(),
    "scores": _identity(scores),
    "token_counts": _identity(token_counts),
    "seed": seed,
  }
  selections.write(
    output,
    identity=identity,
    kept={
      s: (rows, np.ones(len(rows), np.float32)) for s, rows in kept.items()
    },
    shards=index.shards,
    summary=summary | {"sources": _sources(index, kept)},
  )
  print(_line(output, summary))


def _cut(pool, priorities, weights, counts, budget):
  """Cuts within the pool; positions come back as the corpus's."""
  rows = {shard: np.flatnonzero(mask) for shard, mask in pool.items()}

  def inside(values):
    return {shard: values[shard][rows[shard]] for shard in rows}

  ranked, tokens = inside(priorities), inside(counts)
  tokens = {s: np.nan_to_num(v).astype(np.int64) for s, v in tokens.items()}
  kept = budgets.cut(ranked, budget, tokens)
  summary = budgets.summary(
    ranked, kept, tokens=tokens, log_weights=weights and inside(weights)
  )
  return {shard: rows[shard][kept[shard]] for shard in rows}, summary


def _column(directory: str, index) -> dict[str, np.ndarray]:
  scores = score_sets.ScoreSet.open(directory)
  scores.check_corpus(index.describe())
  return scores.read(["score"])["score"]


def _identity(directory: str | None) -> dict | None:
  if directory is None:
    return None
  identity = score_sets.ScoreSet.open(directory).identity
  return {name: identity[name] for name in ("scorer", "inputs", "numerics")}


def _sources(index, kept) -> dict[str, int]:
  column = index.column("source")
  chosen = np.concatenate([column[shard][rows] for shard, rows in kept.items()])
  names, counts = np.unique(chosen.astype(str), return_counts=True)
  return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _line(output: str, summary: dict) -> str:
  line = (
    f"{output}: kept {summary['kept_records']:,} of {summary['records']:,} "
    f"records, {summary['kept_token_fraction']:.1%} of the tokens"
  )
  if "weight_ratio" in summary:
    ratio = summary["weight_ratio"]
    line += (
      f"; weights max/min {ratio:,.4g}, " if ratio else "; weights max/min ∞, "
    ) + (
      f"effective sample size {summary['effective_sample_size']:,.0f} "
      f"({summary['effective_sample_share']:.1%})"
    )
  return line
