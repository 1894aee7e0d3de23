# SPDX-License-Identifier: Apache-2.0
"""One selection in the making: a pool's scores to what is kept, by shard.

Nothing here is as long as the corpus, beside what `pools.Pool` and
`ranking.Ranking` may hold.
"""

import functools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from data_efficient.data import constraints, pools, prepared, score_sets
from data_efficient.kernels import sampling
from data_efficient.selection import budget as budgets
from data_efficient.selection import (
  importance,
  interface,
  passes,
  quality_coverage,
  ranking,
)
from data_efficient.selection import quotas as bounds
from data_efficient.selection.candidates import Reached


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
    others: for selectors that read two score sets.
    quotas: bounds on what each source has of the budget.
    each: where passes over the shards are made; None: here, by threads.

  Raises:
    ArtifactError: scores or token counts of another corpus.
    SelectionError: a budget of tokens without token counts, or importance
      weights under quotas.
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
    others: score_sets.ScoreSet | None = None,
    quotas: bounds.Quotas | None = None,
    each: passes.Each | None = None,
  ):
    for given in filter(None, (token_counts, scores, others)):
      given.check_corpus(corpus.index.describe())
    if quotas and weights is importance.Weights.IMPORTANCE:
      raise interface.SelectionError(
        "importance weights are not known under quotas: a record's chance "
        "depends on all others of its label; use WEIGHTS = 'none'"
      )
    self._corpus, self._selector, self._budget = corpus, selector, budget
    self._weights, self._quotas = weights, quotas
    self._tokens, self._each = token_counts, each
    of_tokens = budget.kind in budgets.OF_TOKENS
    if of_tokens and token_counts is None:
      raise interface.SelectionError(
        "a budget of tokens needs the token count of each record; score the "
        "corpus with TokenCounts, or use a budget of examples"
      )
    self.pool = pools.Pool(
      corpus=corpus,
      selector=selector,
      seed=seed,
      scores=scores,
      others=others,
      counted=token_counts if of_tokens else None,
    )
    self.plain = self.pool.ranking(each)
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
    cut = self.cut
    return self._by_shard(cut, self._mean_weight(cut))

  def _by_shard(
    self, cut: ranking.Cut, mean: float
  ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for number, found in enumerate(self.ranked.kept(cut)):
      positions = found.rows.astype(np.int64)
      self._count(number, positions)
      weights = self._weights_of(cut, number, found) / mean
      yield self.pool.names[number], positions, weights

  def summary(self) -> dict:
    """What the manifest says of it, JSON-able, after `kept`.

    "records" (of the pool), "scorable_records", "kept_records",
    "kept_fraction" (of records), "threshold" (priority of the last record
    kept, null if not finite), "sources" (records kept of each); with token
    counts "tokens", "kept_tokens", "kept_token_fraction"; with sampling
    weights "weight_ratio" (largest over smallest, null if it exceeds float64),
    "effective_sample_size" (Σw)²/Σw² and "effective_sample_share", of the
    scorable records; "mix" of quality and coverage (`constraints.mix`); with
    quotas "quotas" (`constraints.cost`).
    """
    cut, found = self.cut, self.plain.totals
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
    weights = self._weight_summary
    if weights.records:
      size = weights.effective_sample_size
      facts |= {
        "weight_ratio": _finite(weights.ratio),
        "effective_sample_size": size,
        "effective_sample_share": size / weights.records,
      }
    if isinstance(self._selector, quality_coverage.QualityCoverage):
      facts["mix"] = constraints.mix(self.pool, self._selector)
    if self._quotas:
      before = self.plain, self.plain.cut(cut.wanted)
      facts["quotas"] = constraints.cost(
        self.pool, self._labels, before, (self.ranked, cut)
      )
    return facts

  @functools.cached_property
  def ranked(self) -> ranking.Ranking:
    """The ranking that is cut, under the quotas if there are any."""
    if not self._quotas:
      return self.plain
    labelled = bounds.Labelled(
      names=self._labels.names,
      sizes=self.pool.sizes,
      shard=self.pool.records,
      codes=self._labels.codes,
    )
    return bounds.constrained(labelled, self._quotas, self._wanted, self._each)

  @functools.cached_property
  def cut(self) -> ranking.Cut:
    """Where the budget cuts it."""
    wanted = self._wanted
    return self.ranked.cut(wanted)

  @property
  def _wanted(self) -> int:
    return budgets.wanted(self._budget, self.plain.totals)

  @functools.cached_property
  def _labels(self) -> constraints.Labels:
    return constraints.Labels(self._corpus, self._quotas.label)

  @functools.cached_property
  def _weight_summary(self) -> sampling.WeightSummary:
    return self.pool.weight_summary()

  def _count(self, number: int, positions: np.ndarray) -> None:
    self._kept += len(positions)
    if self._tokens is not None:
      tokens = self.pool.token_counts(self._tokens, number)
      self._kept_tokens += int(tokens[positions].sum())
      self._all_tokens += int(tokens.sum())
    name = self.pool.names[number]
    self._sources.update(self._corpus.index.source_counts(name, positions))

  def _weights_of(
    self, cut: ranking.Cut, number: int, found: Reached
  ) -> np.ndarray:
    if not self._is_weighted:
      return np.ones(len(found.rows))
    shard = self.pool.read(number).shard.taken(found.rows)
    log_weights = self._selector.log_weights(shard)
    return importance.weights(cut, log_weights, found.amounts)

  @property
  def _is_weighted(self) -> bool:
    if self._weights is not importance.Weights.IMPORTANCE:
      return False
    found = self._weight_summary
    return found.records > 0 and found.largest != found.smallest

  def _mean_weight(self, cut: ranking.Cut) -> float:
    if not self._is_weighted:
      return 1.0
    total = count = 0
    for number, found in enumerate(self.ranked.kept(cut)):
      weights = self._weights_of(cut, number, found)
      total, count = total + weights.sum(), count + len(weights)
    return total / count


def _finite(value: float) -> float | None:
  return float(value) if np.isfinite(value) else None
