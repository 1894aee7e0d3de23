# SPDX-License-Identifier: Apache-2.0
"""A corpus with what every verb needs of it: index, splits, vocabulary.

They are made by whichever verb needs them first, once, in one directory.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from data_efficient import processes, progress
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
    hq_corpus: where the well-edited text (HQ and reference) comes from, if it
      is not a part of the corpus.
    in_distribution_corpus: the in-distribution evaluation set, if it is not a
      part of the corpus.
  """

  corpus: corpora.Corpus
  directory: str
  policy: splitting.Policy
  hq_corpus: corpora.Corpus | None = None
  in_distribution_corpus: corpora.Corpus | None = None

  @functools.cached_property
  def index(self) -> corpus_index.CorpusIndex:
    """The corpus's index; one pass over the corpus the first time."""
    for other in (self.hq_corpus, self.in_distribution_corpus):
      if other:
        _shards(other)  # a wrong path is told before hours of indexing
    with processes.first_alone("index"):
      return self._index(self.corpus, "index")

  @functools.cached_property
  def splits(self) -> splitting.Splits:
    """The pool, the reference text and the two evaluation sets."""
    directory = pathlib.Path(self.directory, "splits")
    with processes.first_alone("splits"):
      return splitting.assign(self._sources, self.policy, directory)

  def split(self, name: str) -> splitting.Split:
    """One of pool, reference, hq, in_distribution."""
    if name not in splitting.NAMES:
      raise corpora.CorpusError(
        f"no split {name!r}; there are {', '.join(splitting.NAMES)}"
      )
    return getattr(self.splits, name)

  def index_of(self, name: str) -> corpus_index.CorpusIndex:
    """The index of the corpus that a split is taken from."""
    self.split(name)
    return self._sources.of(name).index

  def mask(self, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Shard to bool [records]: which records of the corpus are in a split.

    A split of a separate corpus has no record of this one.
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

  def pool_mask(self, shard: str) -> np.ndarray:
    """Bool [records]: which records of one shard are in the pool."""
    return self.splits.pool.selection.mask(shard)

  @functools.cached_property
  def _sources(self) -> splitting.Sources:
    def source(corpus, name: str) -> splitting.Source | None:
      if corpus is None:
        return None
      return splitting.Source(corpus, self._index(corpus, name))

    return splitting.Sources(
      splitting.Source(self.corpus, self.index),
      edited=source(self.hq_corpus, "hq_index"),
      in_distribution=source(
        self.in_distribution_corpus, "in_distribution_index"
      ),
    )

  def _index(
    self, corpus: corpora.Corpus, name: str
  ) -> corpus_index.CorpusIndex:
    shards = _shards(corpus)
    with progress.bar(f"index {corpus.name}", total=len(shards)) as advance:
      return corpus_index.build(
        corpus,
        pathlib.Path(self.directory, name),
        progress=lambda done, total: advance(1),
      )


def _shards(corpus: corpora.Corpus) -> list[str]:
  if isinstance(corpus, installed_text.InstalledText):
    _build(corpus)
  return corpus.shards()


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
  with processes.first_alone("vocabulary"):
    path = vocabularies.cached(
      pool.selection.identity,
      progress.over(
        pool.texts(),
        "read text for the vocabulary",
        total=pool.selection.records,
      ),
      pathlib.Path(corpus.directory, "vocabulary"),
      pieces=pieces,
    )
  return tokenizers.SentencePiece(str(path))
