# SPDX-License-Identifier: Apache-2.0
"""One selection in the making: a pool's scores to what is kept, by shard.

Nothing here is as long as the corpus, beside what `ranking.Replayed` may hold:
three passes find the cut, one more says for each shard what is kept.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from data_efficient.data import prepared, score_sets
from data_efficient.kernels import sampling
from data_efficient.selection import budget as budgets
from data_efficient.selection import importance, interface, ranking

# Of priorities and amounts, so that a shard is read once where they fit.
_HELD_BYTES = 2 * 2**30


class Making:
  """What is kept of a pool, and why.

  Args:
    corpus: the corpus; only records of its pool can be kept.
    selector: scores to priorities.
    budget: where the ranking is cut; fractions are of the pool.
    weights: what a kept record weighs.
    token_counts: of the corpus; None for a budget of examples whose tokens
      nobody asks for.
    seed: of selectors that draw.
    scores: for selectors that read some.

  Raises:
    ArtifactError: scores or token counts of another corpus.
    SelectionError: a budget of tokens without token counts.
  """

  def __init__(
    self,
    *,
    corpus: prepared.Prepared,
    selector: interface.Selector,
    budget: budgets.Budget,
    weights: importance.Weights,
    token_counts: score_sets.ScoreSet | None,
    seed: int,
    scores: score_sets.ScoreSet | None,
  ):
    for given in filter(None, (token_counts, scores)):
      given.check_corpus(corpus.index.describe())
    self._corpus, self._selector, self._budget = corpus, selector, budget
    self._weights, self._seed = weights, seed
    self._tokens, self._scores = token_counts, scores
    self._of_tokens = budget.kind in budgets.OF_TOKENS
    if self._of_tokens and token_counts is None:
      raise interface.SelectionError(
        "a budget of tokens needs the token count of each record; score the "
        "corpus with TokenCounts, or use a budget of examples"
      )
    self._candidates = ranking.Replayed(self._makers, _HELD_BYTES)
    self._sources: Counter[str] = Counter()
    self._kept = self._kept_tokens = self._all_tokens = 0

  def kept(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each shard, its kept positions, and their weights.

    Raises:
      SelectionError: the scores do not fit the selector, or the budget cannot
        be met.
      ArtifactError: damaged scores.
    """
    # Cut before anything is written: what cannot be met leaves nothing behind.
    cut, _ = self._cut
    return self._by_shard(cut, self._mean_weight(cut))

  def _by_shard(
    self, cut: ranking.Cut, mean: float
  ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, rows, block in self._kept_rows(cut):
      positions = np.flatnonzero(rows)
      self._count(name, positions)
      yield name, positions, self._weights_of(cut, name, rows, block) / mean

  def summary(self) -> dict:
    """What the manifest says of it, JSON-able, after `kept`.

    "records" (of the pool), "scorable_records", "kept_records",
    "kept_fraction" (of records), "threshold" (priority of the last record
    kept, null if not finite), "sources" (records kept of each); with token
    counts "tokens", "kept_tokens", "kept_token_fraction"; with sampling
    weights "weight_ratio"
    (largest over smallest, null if it exceeds float64),
    "effective_sample_size" (Σw)²/Σw² and "effective_sample_share", of the
    scorable records.
    """
    cut, found = self._cut
    facts = {
      "records": found.records,
      "scorable_records": found.scorable,
      "kept_records": self._kept,
      "kept_fraction": self._kept / found.records,
      "threshold": _finite(cut.threshold),
      "sources": dict(sorted(self._sources.items())),
    }
    if self._tokens is not None:
      share = self._kept_tokens / max(self._all_tokens, 1)
      facts |= {
        "tokens": self._all_tokens,
        "kept_tokens": self._kept_tokens,
        "kept_token_fraction": share,
      }
    weights = self._log_weights
    if weights.records:
      size = weights.effective_sample_size
      facts |= {
        "weight_ratio": _finite(weights.ratio),
        "effective_sample_size": size,
        "effective_sample_share": size / weights.records,
      }
    return facts

  @functools.cached_property
  def _cut(self) -> tuple[ranking.Cut, ranking.Totals]:
    return budgets.cut(self._candidates, self._budget)

  @functools.cached_property
  def _log_weights(self) -> sampling.WeightSummary:
    found = sampling.WeightSummary()
    for name in self._corpus.index.shards:
      weights = self._selector.log_weights(self._shard(name))
      if weights is None:
        break
      pool = self._corpus.pool_mask(name)
      found = found.joined(sampling.summarise_log_weights(weights[pool]))
    return found

  def _makers(self) -> Iterator[Callable[[], ranking.Candidates]]:
    for name in self._corpus.index.shards:
      yield functools.partial(self._candidates_of, name)

  def _candidates_of(self, name: str) -> ranking.Candidates:
    shard, pool = self._shard(name), self._corpus.pool_mask(name)
    priorities = self._selector.priorities(shard, seed=self._seed)
    if not pool.all():
      priorities = np.where(pool, priorities, priorities.dtype.type(np.nan))
    amounts = self._token_counts(name) if self._of_tokens else None
    return ranking.Candidates(priorities, amounts, int(pool.sum()))

  def _shard(self, name: str) -> interface.Shard:
    return interface.Shard(
      name,
      self._corpus.index.shards[name],
      self._scores and self._scores.shard_column(name, "score"),
    )

  def _token_counts(self, name: str) -> np.ndarray:
    """Of the pool's records; a record without a count has no token."""
    found = np.nan_to_num(self._tokens.shard_column(name, "score"))
    shard = interface.Shard(name, self._corpus.index.shards[name])
    return budgets.token_counts(
      np.where(self._corpus.pool_mask(name), found, 0), shard
    )

  def _kept_rows(self, cut: ranking.Cut):
    first = 0
    names = self._corpus.index.shards
    for name, block in zip(names, self._candidates(), strict=True):
      yield name, cut.keeps(block.priorities, first=first), block
      first += len(block.priorities)

  def _count(self, name: str, positions: np.ndarray) -> None:
    self._kept += len(positions)
    if self._tokens is not None:
      tokens = self._token_counts(name)
      self._kept_tokens += int(tokens[positions].sum())
      self._all_tokens += int(tokens.sum())
    self._sources.update(self._corpus.index.source_counts(name, positions))

  def _weights_of(self, cut, name, rows, block) -> np.ndarray:
    if not self._is_weighted:
      return np.ones(np.count_nonzero(rows))
    log_weights = self._selector.log_weights(self._shard(name))[rows]
    amounts = None if block.amounts is None else block.amounts[rows]
    return importance.weights(cut, log_weights, amounts)

  @property
  def _is_weighted(self) -> bool:
    found = self._log_weights
    return (
      self._weights is importance.Weights.IMPORTANCE
      and found.records > 0
      and found.largest != found.smallest
    )

  def _mean_weight(self, cut: ranking.Cut) -> float:
    if not self._is_weighted:
      return 1.0
    total = count = 0
    for name, rows, block in self._kept_rows(cut):
      weights = self._weights_of(cut, name, rows, block)
      total, count = total + weights.sum(), count + len(weights)
    return total / count


def _finite(value: float) -> float | None:
  return float(value) if np.isfinite(value) else None
