# SPDX-License-Identifier: Apache-2.0
"""Why each record of a corpus was kept or dropped: tables for an audit.

One Parquet part a shard, in the corpus's order, with the columns

* position, score, priority (float64; null where there is none);
* rank: 1 + the records of the pool with a higher priority, exact in corpora of
  up to 2²⁰ records, from as many sampled ones in larger;
* threshold: the priority that had to be reached;
* kept, and reason: "above the threshold", "below the threshold", "quota of its
  label" (kept or dropped by that), "no score", "not in the pool";
* with embeddings nearest_shard, nearest_position, nearest_cosine: the kept
  record that is most like it, other than itself.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from data_efficient import progress
from data_efficient.data import artifacts, cutting, score_sets, selecting

KIND = "explanation"
ABOVE = "above the threshold"
BELOW = "below the threshold"
QUOTA = "quota of its label"
NO_SCORE = "no score"
OUTSIDE = "not in the pool"
_REASONS = (OUTSIDE, NO_SCORE, BELOW, ABOVE, QUOTA)
# Kept vectors whose products are held at once for a block of as many records.
_BLOCK = 4096


def write(
  recipe: selecting.Recipe,
  directory: artifacts.PathLike,
  embeddings: str | None,
) -> pathlib.Path:
  """Explains a selection; does nothing if that is there already.

  Args:
    recipe: the selection.
    directory: where the tables go.
    embeddings: directory of an embedding set, for the nearest kept records.
      All kept vectors are held in memory, and each record is compared with all
      of them.

  Raises:
    ValueError: as `selecting.Recipe.select`; or embeddings of another corpus.
  """
  directory = pathlib.Path(directory)
  identity = {**recipe.identity, "embeddings": None}
  if embeddings:
    found = score_sets.ScoreSet.open(embeddings)
    found.check_corpus(recipe.corpus.index.describe())
    identity["embeddings"] = found.identity["scorer"]
  with artifacts.Writer(directory, kind=KIND, identity=identity) as writer:
    if not writer.complete:
      making = recipe.making()
      nearest = _Nearest(found, making) if embeddings else None
      label = f"explain {recipe.sampler}"
      with progress.bar(label, total=len(making.pool.names)) as advance:
        for number, columns in enumerate(_explained(making)):
          part = f"{number:05d}.parquet"
          shard = making.pool.names[number]
          if not writer.has(part):
            if nearest:
              columns |= nearest.columns(shard)
            writer.write_table(part, pa.table(columns), shard=shard)
          advance(1)
      writer.finish(records=sum(making.pool.sizes))
  return directory


def _explained(making: cutting.Making) -> Iterator[dict[str, pa.Array]]:
  ranks = _Ranks.of(making)
  for number, found in enumerate(making.ranked.kept(making.cut)):
    count = making.pool.sizes[number]
    kept = np.zeros(count, bool)
    kept[found.rows] = True
    yield _columns(making, number, kept, ranks)


def _columns(
  making: cutting.Making, number: int, kept: np.ndarray, ranks: "_Ranks"
) -> dict[str, pa.Array]:
  shard, pool = making.pool.read(number)
  all_of_them = making.pool.records(number).reaching(-np.inf)
  there = np.zeros(len(kept), bool)
  there[all_of_them.rows] = True
  priorities = np.full(len(kept), np.nan)
  priorities[all_of_them.rows] = all_of_them.priorities
  scores = np.full(len(kept), np.nan)
  if shard.scores is not None:
    scores[:] = shard.scores
  threshold = making.cut.threshold
  reasons = np.full(len(kept), _REASONS.index(NO_SCORE), np.int8)
  if pool is not None:
    reasons[~pool] = _REASONS.index(OUTSIDE)
  reasons[there] = _REASONS.index(BELOW)
  reasons[kept] = _REASONS.index(ABOVE)
  # Ties at the threshold go by position; only quotas go against it.
  against = kept & (priorities < threshold)
  against |= there & ~kept & (priorities > threshold)
  reasons[against] = _REASONS.index(QUOTA)
  return {
    "position": pa.array(np.arange(len(kept))),
    "score": pa.array(scores, mask=np.isnan(scores)),
    "priority": pa.array(priorities, mask=~there),
    "rank": pa.array(ranks.ranked(priorities), mask=~there),
    "threshold": pa.array(np.full(len(kept), threshold)),
    "kept": pa.array(kept),
    "reason": pa.array(np.array(_REASONS, object)[reasons], pa.string()),
  }


@dataclasses.dataclass(frozen=True)
class _Ranks:
  """A sample of the ranking, ascending, and the records that it stands for."""

  values: np.ndarray
  records: int

  @classmethod
  def of(cls, making: cutting.Making) -> "_Ranks":
    plain = making.plain
    return cls(plain.quantiles(), plain.totals.scorable)

  def ranked(self, priorities: np.ndarray) -> np.ndarray:
    """int64; of no meaning where the priority is NaN."""
    higher = len(self.values) - np.searchsorted(
      self.values, priorities, side="right"
    )
    share = self.records / max(len(self.values), 1)
    return 1 + np.round(higher * share).astype(np.int64)


class _Nearest:
  """The kept record whose embedding is nearest to each record's."""

  def __init__(self, embeddings: score_sets.ScoreSet, making: cutting.Making):
    self._embeddings, self._names = embeddings, making.pool.names
    vectors, shards, positions = [], [], []
    for number, found in enumerate(making.ranked.kept(making.cut)):
      rows = self._unit(self._names[number])[found.rows]
      usable = ~np.isnan(rows).any(axis=1)
      vectors.append(rows[usable])
      positions.append(found.rows[usable].astype(np.int64))
      shards.append(np.full(len(positions[-1]), number))
    self._vectors = np.concatenate(vectors)
    self._shards = np.concatenate(shards)
    self._positions = np.concatenate(positions)

  def columns(self, shard: str) -> dict[str, pa.Array]:
    """Of each record of a shard; null where it has no vector."""
    rows = self._unit(shard)
    best = np.full(len(rows), -1)
    cosine = np.full(len(rows), -np.inf, np.float32)
    for start in range(0, len(rows), _BLOCK):
      block = rows[start : start + _BLOCK]
      at = slice(start, start + len(block))
      for first in range(0, len(self._vectors), _BLOCK):
        self._compare(shard, block, start, first, best[at], cosine[at])
    missing = best < 0
    names = np.array(self._names, object)
    return {
      "nearest_shard": pa.array(
        names[self._shards[best]], pa.string(), mask=missing
      ),
      "nearest_position": pa.array(self._positions[best], mask=missing),
      "nearest_cosine": pa.array(cosine, mask=missing),
    }

  def _compare(self, shard, block, start, first, best, cosine) -> None:
    kept = slice(first, first + _BLOCK)
    products = np.nan_to_num(block @ self._vectors[kept].T, nan=-np.inf)
    # A record is not its own neighbour.
    mine = np.flatnonzero(self._shards[kept] == self._names.index(shard))
    rows = self._positions[kept][mine] - start
    inside = (rows >= 0) & (rows < len(block))
    products[rows[inside], mine[inside]] = -np.inf
    found = products.argmax(axis=1)
    values = products[np.arange(len(block)), found]
    better = values > cosine
    best[better], cosine[better] = first + found[better], values[better]

  def _unit(self, shard: str) -> np.ndarray:
    """Vectors of length 1, float32; NaN where there is none."""
    rows = self._embeddings.shard_column(shard, "embedding").astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, np.nan)
