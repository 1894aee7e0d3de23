# SPDX-License-Identifier: Apache-2.0
"""A corpus with what every verb needs of it: index, splits, vocabulary.

They are made by whichever verb needs them first, once, in one directory.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from data_efficient import progress
from data_efficient.data import (
  corpora,
  corpus_index,
  installed_text,
  vocabularies,
)
from data_efficient.data import splits as splitting
from data_efficient.models import tokenizers


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A corpus, split before anything else looks at it.

  Attributes:
    corpus: the corpus.
    directory: where index, splits and vocabulary are kept.
    policy: which records are for training, teaching and evaluation.
    hq_corpus: where the well-edited text comes from, if it is not a part of
      the corpus.
  """

  corpus: corpora.Corpus
  directory: str
  policy: splitting.Policy
  hq_corpus: corpora.Corpus | None = None

  @functools.cached_property
  def index(self) -> corpus_index.CorpusIndex:
    """The corpus's index; one pass over the corpus the first time."""
    return self._source(self.corpus, "index").index

  @functools.cached_property
  def splits(self) -> splitting.Splits:
    """The pool, the reference text and the two evaluation sets."""
    edited = None
    if self.hq_corpus is not None:
      edited = self._source(self.hq_corpus, "hq_index")
    index = self.index
    with progress.bar("split and compare", total=1) as advance:
      found = splitting.assign(
        self.corpus,
        index,
        self.policy,
        pathlib.Path(self.directory, "splits"),
        edited=edited,
      )
      advance(1)
    return found

  def split(self, name: str) -> splitting.Split:
    """One of pool, reference, hq, in_distribution."""
    if name not in splitting.NAMES:
      raise corpora.CorpusError(
        f"no split {name!r}; there are {', '.join(splitting.NAMES)}"
      )
    return getattr(self.splits, name)

  def mask(self, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Shard to bool [records]: which records of the corpus are in a split.

    A split of a separate HQ corpus has no record of this one.
    """
    masks = {
      shard: np.zeros(records, bool)
      for shard, records in self.index.shards.items()
    }
    for corpus, selection in map(self.split, names):
      if corpus is self.corpus:
        for shard, mask in masks.items():
          mask |= selection.mask(shard)
    return masks

  def _source(self, corpus: corpora.Corpus, name: str) -> splitting.Source:
    if isinstance(corpus, installed_text.InstalledText):
      _build(corpus)
    shards = corpus.shards()
    with progress.bar(f"index {corpus.name}", total=len(shards)) as advance:
      index = corpus_index.build(
        corpus,
        pathlib.Path(self.directory, name),
        progress=lambda done, total: advance(1),
      )
    return splitting.Source(corpus, index)


def _build(corpus: installed_text.InstalledText) -> None:
  total = len(corpus.packages)
  with progress.bar("collect installed text", total=total) as advance:
    corpus.build(progress=lambda done, total: advance(1))


def inside(*, directory: str, name: str) -> str:
  """A path in a directory, for gin files."""
  return str(pathlib.Path(directory, name))


def trained_vocabulary(
  *, corpus: Prepared, pieces: int
) -> tokenizers.SentencePiece:
  """A vocabulary trained on the corpus's pool, once."""
  pool = corpus.splits.pool
  with progress.bar("train vocabulary", total=1) as advance:
    path = vocabularies.cached(
      pool.selection.identity,
      pool.texts(),
      pathlib.Path(corpus.directory, "vocabulary"),
      pieces=pieces,
    )
    advance(1)
  return tokenizers.SentencePiece(str(path))
