# SPDX-License-Identifier: Apache-2.0
"""Finds records that contain evaluation text, or are contained in it.

By word 8-grams: lower-cased runs of letters, digits and "_"; a text of fewer
than 8 words is one gram of all its words. Grams are compared by 64-bit hash.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import xxhash

GRAM_WORDS = 8
_WORD = re.compile(r"\w+")
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd: powers of it differ modulo 2⁶⁴


class Grams:
  """The word 8-grams of a set of texts, with the text each came from.

  Args:
    texts: the evaluation texts.
  """

  def __init__(self, texts: Iterable[str]):
    self._words: dict[str, int] = {}
    grams = [np.unique(self.hashes(text)) for text in texts]
    self._sizes = np.array([len(found) for found in grams], np.int64)
    values = np.concatenate([*grams, np.empty(0, np.uint64)])
    owners = np.repeat(np.arange(len(grams)), self._sizes)
    order = np.argsort(values, kind="stable")
    self._values, self._owners = values[order], owners[order]

  def hashes(self, text: str) -> np.ndarray:
    """Returns the hashes of a text's 8-grams, uint64, in its order."""
    words = np.array(
      [self._word(word) for word in _WORD.findall(text.lower())], np.uint64
    )
    width = min(GRAM_WORDS, len(words))
    count = len(words) - width + 1 if width else 0
    result = np.zeros(count, np.uint64)
    for offset in range(width):
      result *= np.uint64(_MULTIPLIER)
      result += words[offset : offset + count]
    return result

  def overlap(self, text: str) -> float:
    """Returns how much a text and the evaluation texts have in common.

    The greater of the share of the text's 8-grams that are in any evaluation
    text, and of the largest share of one evaluation text's 8-grams that are in
    this text; in [0, 1].
    """
    found = np.unique(self.hashes(text))
    if not found.size or not self._values.size:
      return 0.0
    first = np.searchsorted(self._values, found, side="left")
    counts = np.searchsorted(self._values, found, side="right") - first
    matched = np.count_nonzero(counts) / len(found)
    if not matched:
      return 0.0
    contained = np.bincount(_owners(self._owners, first, counts))
    shares = contained / np.maximum(self._sizes[: len(contained)], 1)
    return max(matched, float(np.max(shares)))

  def _word(self, word: str) -> int:
    if word not in self._words:
      digest = xxhash.xxh3_64_intdigest(word.encode("utf-8"))
      self._words[word] = digest
    return self._words[word]


def _owners(
  owners: np.ndarray, first: np.ndarray, counts: np.ndarray
) -> np.ndarray:
  ranges: Sequence[np.ndarray] = [
    owners[start : start + count]
    for start, count in zip(first[counts > 0], counts[counts > 0], strict=True)
  ]
  return np.concatenate(ranges)
