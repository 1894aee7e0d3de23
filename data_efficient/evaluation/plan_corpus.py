# SPDX-License-Identifier: Apache-2.0
"""How large a corpus is, for a plan: from what is known, or from a sample.

Never by a pass over it. A corpus that has an index says its records and
characters; tokens come from a score set of token counts, else from blocks of
neighbouring records at random places, with a 95% interval.
"""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from scipy import special

from data_efficient.data import (
  artifacts,
  corpora,
  corpus_index,
  prepared,
  score_sets,
)
from data_efficient.scorers import token_counts

# Records of a block: neighbours are alike, so blocks and not records are drawn.
_BLOCK = 16
# A shard is read no further than this: a sample is no pass.
_REACH = 20_000
# Without an index: shards that are looked into, and how far.
_SHARDS, _SHARD_REACH = 8, 4096


class Estimate(NamedTuple):
  """A number with its 95% interval; all three are equal where it is known."""

  value: float
  low: float
  high: float


class Size(NamedTuple):
  """What a plan knows of a corpus.

  Attributes:
    records: in all shards.
    tokens: of all records, without ends of sequence.
    source: where both are from, in words.
    shards: how many; 1 where that is not known.
    texts: the sample; empty for a corpus that is only stated.
  """

  records: Estimate
  tokens: Estimate
  source: str
  shards: int
  texts: tuple[str, ...] = ()


def known(value: float | int) -> Estimate:
  """A number that is no estimate."""
  return Estimate(float(value), float(value), float(value))


@runtime_checkable
class Source(Protocol):
  """Something that says how large a corpus is."""

  def size(self) -> Size:
    """Says it, without a pass over the corpus."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stated:
  """A corpus of which only the counts are given; nothing is read.

  Attributes:
    records: in the corpus.
    tokens: of all records.
  """

  records: int
  tokens: int

  def size(self) -> Size:
    """The counts."""
    return Size(known(self.records), known(self.tokens), "stated", 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampled:
  """A corpus that is looked into here and there.

  Attributes:
    corpus: the corpus; its index is used if it is there, and never made.
    tokenizer: whose tokens are counted.
    token_counts: directory of a score set of token counts, or None.
    records: of the corpus, where it has no index and they are known.
    sample: records that are drawn, at most.
    seed: of the draw.
  """

  corpus: prepared.Prepared
  tokenizer: token_counts.Tokenizer
  token_counts: str | None
  records: int | None
  sample: int
  seed: int

  def size(self) -> Size:
    """Looks.

    Raises:
      CorpusError: neither an index nor `records` say how large it is, or the
        sample cannot be read.
      ArtifactError: no such score set.
    """
    corpus = self.corpus.corpus
    draw = np.random.default_rng(self.seed)
    index = self._index()
    if index is not None:
      blocks = _indexed_blocks(corpus, index, self.sample, draw)
      records, shards = known(index.records), len(index.shards)
    else:
      looked = _look(corpus, draw, self.sample)
      blocks, shards = looked.blocks, looked.shards
      records = known(self.records) if self.records else looked.records
      if records is None:
        raise corpora.CorpusError(
          f"{corpus.name}: no index yet, and shards that go on after "
          f"{_SHARD_REACH} records, so nobody knows how many there are: give "
          "--gin.RECORDS=…, or run a verb that makes the index"
        )
    texts = tuple(itertools.chain.from_iterable(blocks))
    if not texts:
      raise corpora.CorpusError(f"{corpus.name}: the sample has no records")
    tokens, source = self._tokens(blocks, records, index)
    return Size(records, tokens, source, shards, texts)

  def _index(self) -> corpus_index.CorpusIndex | None:
    # Not `corpus.index`, which makes it: that is a pass over the corpus.
    directory = pathlib.Path(self.corpus.directory, "index")
    if not artifacts.is_complete(directory, kind=corpus_index.KIND):
      return None
    return corpus_index.open_index(directory)

  def _tokens(
    self,
    blocks: Sequence[Sequence[str]],
    records: Estimate,
    index: corpus_index.CorpusIndex | None,
  ) -> tuple[Estimate, str]:
    if self.token_counts is not None:
      return _counted(self.token_counts)
    tokens = [sum(len(self.tokenizer.encode(t)) for t in b) for b in blocks]
    drawn = sum(map(len, blocks))
    if records.low == records.high and drawn >= records.value:
      return known(sum(tokens)), "all records were read: they are few"
    words = f"a sample of {drawn:,} records in {len(blocks)} blocks"
    if index is not None:
      sizes = [sum(map(len, block)) for block in blocks]
      return total(tokens, sizes, known(index.characters)), words
    words += " at the beginnings of shards: there is no index to draw from"
    return total(tokens, [len(block) for block in blocks], records), words


def total(
  values: Sequence[float | int] | np.ndarray,
  sizes: Sequence[float | int] | np.ndarray,
  size: Estimate,
) -> Estimate:
  """The sum over a corpus by a ratio estimator, with its 95% interval.

  r = Σ values / Σ sizes, times the corpus's size; the variance is that of the
  blocks' residuals values − r · sizes (Cochran, Sampling Techniques, 6.4),
  and Student's t with one degree of freedom less than there are blocks. The
  relative error of `size` itself is added in quadrature.

  Args:
    values: of each block.
    sizes: of each block, in the unit of `size`.
    size: of the corpus.
  """
  values, sizes = np.asarray(values, float), np.asarray(sizes, float)
  count, whole = len(values), sizes.sum()
  if not whole:
    return known(0.0)
  ratio = values.sum() / whole
  value = ratio * size.value
  if count < 2:
    return Estimate(value, 0.0, math.inf)
  variance = np.square(values - ratio * sizes).sum() / (count - 1)
  error = float(special.stdtrit(count - 1, 0.975)) * math.sqrt(variance / count)
  of_ratio = error / (whole / count) * size.value
  low = math.hypot(of_ratio, ratio * (size.value - size.low))
  high = math.hypot(of_ratio, ratio * (size.high - size.value))
  return Estimate(value, max(0.0, value - low), value + high)


def _counted(directory: str) -> tuple[Estimate, str]:
  """From a score set of token counts: one column, no text."""
  counts = score_sets.ScoreSet.open(directory)
  scorer = counts.identity["scorer"]
  if scorer.get("name") != "token_counts":
    raise artifacts.ArtifactError(
      f"{directory}: scores of {scorer.get('name')!r}, expected token counts "
      "(gin/scorers/token_counts.gin)"
    )
  tokens = sum(
    float(np.nansum(part.columns["score"], dtype=np.float64))
    for part in counts.iterate(["score"])
  )
  return known(tokens), f"the token counts in {directory}"


def _indexed_blocks(
  corpus: corpora.Corpus,
  index: corpus_index.CorpusIndex,
  sample: int,
  draw: np.random.Generator,
) -> list[list[str]]:
  """Blocks at random places, a shard as likely as it is large."""
  if index.records <= sample:
    return [
      block for shard in index.shards for block in _blocks(corpus, shard, 0)
    ]
  names, counts = list(index.shards), np.array(list(index.shards.values()))
  chosen = draw.choice(
    len(names), size=max(2, sample // _BLOCK), p=counts / counts.sum()
  )
  found = []
  for at in np.unique(chosen):
    last = max(min(counts[at], _REACH) - _BLOCK, 0)
    starts = draw.integers(0, last, (chosen == at).sum(), endpoint=True)
    found += _at(corpus, names[at], sorted(starts.tolist()))
  return found


def _at(
  corpus: corpora.Corpus, shard: str, starts: Sequence[int]
) -> list[list[str]]:
  """Blocks of a shard that begin at these records; one read up to the last."""
  first, end = starts[0], starts[-1] + _BLOCK
  records = itertools.islice(corpus.read(shard, first), end - first)
  texts = [record.text for record in records]
  return [texts[at - first : at - first + _BLOCK] for at in starts]


def _blocks(corpus: corpora.Corpus, shard: str, limit: int) -> list[list[str]]:
  """A shard in blocks, up to so many records; 0 for all."""
  texts = [r.text for r in itertools.islice(corpus.read(shard), limit or None)]
  return [texts[at : at + _BLOCK] for at in range(0, len(texts), _BLOCK)]


class _Looked(NamedTuple):
  blocks: list[list[str]]
  shards: int
  records: Estimate | None


def _look(
  corpus: corpora.Corpus, draw: np.random.Generator, sample: int
) -> _Looked:
  """A few shards of a corpus without an index, from their beginnings.

  Where all of them end soon, shards have about so many records each.
  """
  names = corpus.shards()
  chosen = draw.permutation(len(names))[:_SHARDS]
  # One more than is wanted: whether the shard ends there.
  found = [_blocks(corpus, names[at], _SHARD_REACH + 1) for at in chosen]
  counts = [sum(map(len, blocks)) for blocks in found]
  every = list(itertools.chain.from_iterable(found))
  kept = draw.permutation(len(every))[: max(2, sample // _BLOCK)]
  blocks = [every[at] for at in sorted(kept)]
  if max(counts, default=0) > _SHARD_REACH:
    return _Looked(blocks, len(names), None)
  if len(chosen) == len(names):
    return _Looked(blocks, len(names), known(sum(counts)))
  ones = [1.0] * len(counts)
  return _Looked(blocks, len(names), total(counts, ones, known(len(names))))
