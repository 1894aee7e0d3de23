# SPDX-License-Identifier: Apache-2.0
"""DSIR: how much likelier a text's n-grams are in the target than in the pool.

  score(x) = Σ_b counts_b(x) · (log p_b − log q_b)

with p and q the shares of hashed uni- and bigrams in target and pool (Xie et
al. 2023, arXiv 2302.03169, Section 3). Draw from it with `Resampling`. The sum
is over all n-grams of the text, as in the paper: long texts have large weights
of either sign.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np
import xxhash
from jaxtyping import Float64, Int64

from data_efficient.scorers import interface

# Words, and runs of punctuation.
TOKEN = re.compile(r"\w+|[^\w\s]+")
# Keeps the logarithm of an empty bucket finite.
_LEAST_SHARE = 1e-8


class DsirError(ValueError):
  """Texts that no importance weights can be made from."""


@dataclasses.dataclass(kw_only=True)
class Dsir:
  """Scores texts by the log-ratio of two bags of hashed n-grams.

  Attributes:
    buckets: that n-grams are hashed into (the paper: 10,000).
    ngrams: longest n-gram, in words (the paper: 2).
    min_words: shorter texts are unscorable: their weights say little.
    seed: of the hash.
    target: the split whose distribution is wanted.
    raw: the split that is sampled from.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  buckets: int
  ngrams: int
  min_words: int
  seed: int
  target: str = "reference"
  raw: str = "pool"
  part_records: int = 4096
  name: str = "dsir"

  log_ratio: Float64[np.ndarray, " buckets"] | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Refuses numbers that no n-gram has, with DsirError."""
    if self.buckets < 1 or self.ngrams < 1 or self.min_words < 0:
      raise DsirError(
        "buckets and ngrams must be at least 1 and min_words at least 0, got "
        f"buckets={self.buckets}, ngrams={self.ngrams}, "
        f"min_words={self.min_words}"
      )
    if not 0 <= self.seed < 2**64:
      raise DsirError(f"the seed must be from 0 to 2⁶⁴ − 1, got {self.seed}")

  def identity(self) -> dict:
    """All that a score depends on, beside the texts."""
    return {
      "name": self.name,
      "buckets": self.buckets,
      "ngrams": self.ngrams,
      "min_words": self.min_words,
      "seed": self.seed,
      "target": self.target,
      "raw": self.raw,
    }

  def prepare(self, read: interface.Read) -> None:
    """Pass 1: counts the n-grams of target and pool.

    Raises:
      DsirError: one of them has no word.
    """
    target, raw = (self._shares(read, name) for name in (self.target, self.raw))
    self.log_ratio = np.log(target + _LEAST_SHARE) - np.log(raw + _LEAST_SHARE)

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Pass 2: column "score", float32 [n], log importance weights.

    Raises:
      DsirError: before `prepare`.
    """
    if self.log_ratio is None:
      raise DsirError("prepare must run before score: nothing is counted")
    scores = np.full(len(batch), np.nan, np.float32)
    statuses = [interface.SCORED] * len(batch)
    for row, text in enumerate(batch):
      words = self._words(text)
      if len(words) < max(self.min_words, 1):
        reason = f"fewer than {self.min_words} words" if words else "empty"
        statuses[row] = interface.unscorable(reason)
      else:
        scores[row] = self.log_ratio[self._buckets(words)].sum()
    return interface.Scores(statuses, {"score": scores})

  def _shares(
    self, read: interface.Read, split: str
  ) -> Float64[np.ndarray, " buckets"]:
    counts = np.zeros(self.buckets, np.int64)
    for block in read(split):
      for text in block:
        found = self._buckets(self._words(text))
        counts += np.bincount(found, minlength=self.buckets)
    if not counts.any():
      raise DsirError(
        f"the split {split!r} has no word to count; bring text for it"
      )
    return counts / counts.sum()

  def _words(self, text: str) -> list[str]:
    return TOKEN.findall(text.lower())

  def _buckets(self, words: Sequence[str]) -> Int64[np.ndarray, " m"]:
    hashes = [self.bucket(gram) for gram in self._grams(words)]
    return np.array(hashes, np.int64)

  def bucket(self, gram: str) -> int:
    """The bucket of an n-gram, its words joined by a space."""
    hashed = xxhash.xxh3_64_intdigest(gram.encode("utf-8"), self.seed)
    return hashed % self.buckets

  def _grams(self, words: Sequence[str]) -> Iterator[str]:
    for length in range(1, self.ngrams + 1):
      for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])
