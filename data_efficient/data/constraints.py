# SPDX-License-Identifier: Apache-2.0
"""What quotas are of, what they cost, and what a mixed weight is made of."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from data_efficient.data import pools, prepared
from data_efficient.selection import quality_coverage, ranking


class Labels:
  """The label of each record: its source, its group or its shard's name.

  Args:
    corpus: the corpus.
    label: "source", "group" or "shard".

  Attributes:
    names: of the labels in the pool.
  """

  def __init__(self, corpus: prepared.Prepared, label: str):
    self._corpus, self._label = corpus, label
    self._shards = list(corpus.index.shards)
    self._numbers: dict[str, int] = {}
    for number, shard in enumerate(self._shards):
      pool = corpus.pool_mask(shard)
      if pool.any():
        names, codes = self._coded(number)
        for code in np.unique(codes[pool]).tolist():
          self._numbers.setdefault(names[code], len(self._numbers))
    self.names: Sequence[str] = list(self._numbers)

  def codes(self, number: int) -> Int32[np.ndarray, " n"]:
    """Each record's label as a number of `names`.

    0 for labels that no record of the pool has.
    """
    names, codes = self._coded(number)
    known = [self._numbers.get(name, 0) for name in names]
    return np.array(known, np.int32)[codes]

  def _coded(self, number: int) -> tuple[list[str], np.ndarray]:
    shard = self._shards[number]
    if self._label == "shard":
      return [shard], np.zeros(self._corpus.index.shards[shard], np.int32)
    return self._corpus.index.labels(shard, self._label)


def cost(
  pool: pools.Pool,
  labels: Labels,
  before: tuple[ranking.Ranking, ranking.Cut],
  after: tuple[ranking.Ranking, ranking.Cut],
) -> dict:
  """What quotas change, JSON-able.

  "mean_score" of the kept records (null where no scores are read) and
  "mean_score_without" the quotas; "shares" and "shares_without": of the kept
  budget that each label has.
  """
  facts = {}
  for (ranked, cut), suffix in ((after, ""), (before, "_without")):
    amounts = np.zeros(len(labels.names), np.int64)
    total = records = 0.0
    for number, found in enumerate(ranked.kept(cut)):
      codes = labels.codes(number)[found.rows]
      counts = np.bincount(codes, found.amounts, minlength=len(amounts))
      amounts += counts.astype(np.int64)
      scores = pool.read(number).shard.scores
      records += len(found.rows)
      if scores is not None:
        total += float(scores[found.rows].sum(dtype=np.float64))
      else:
        total = math.nan
    facts["mean_score" + suffix] = (
      None if math.isnan(total) else total / records
    )
    kept = max(int(amounts.sum()), 1)
    named = zip(labels.names, (amounts / kept).tolist(), strict=True)
    facts["shares" + suffix] = dict(sorted(named))
  return facts


def mix(
  pool: pools.Pool, selector: quality_coverage.QualityCoverage
) -> dict[str, float]:
  """How much of the weights is quality and how much coverage.

  "temperature"; "quality_spread" and "coverage_spread", the standard
  deviations of q/τ and of log S over the records that have both; and
  "quality_share" of the sum of the two variances.
  """
  sums = np.zeros((3, 2))
  for number in range(len(pool.names)):
    for piece in pool.pieces(number):
      terms = np.stack(list(selector.parts(piece).values()), axis=1)
      terms = terms[~np.isnan(terms).any(axis=1)]
      sums += [np.full(2, len(terms)), terms.sum(0), np.square(terms).sum(0)]
  count, first, second = sums
  with np.errstate(invalid="ignore"):
    variances = np.maximum(second / count - np.square(first / count), 0)
  quality, coverage = variances.tolist()
  both = quality + coverage
  return {
    **selector.settings,
    "quality_spread": math.sqrt(quality),
    "coverage_spread": math.sqrt(coverage),
    "quality_share": quality / both if both else 0.0,
  }
