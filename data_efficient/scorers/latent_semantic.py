# SPDX-License-Identifier: Apache-2.0
"""Embeddings of texts without a network: latent semantic analysis.

The TF-IDF of a text's pieces, projected on the leading singular vectors of a
sample of the pool (Deerwester et al. 1990, "Indexing by latent semantic
analysis"), at unit norm. It is fitted in seconds and owes nothing to a judge,
so that what Density calls crowded is what the corpus is about. The paper
embeds with Sentence-T5 (arXiv 2402.09668, Appendix B.2): with a checkpoint at
hand, use `embedding.Embedding`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import interface, stored_vectors, subsample


class EmbeddingError(ValueError):
  """Texts that no embedding can be fitted to."""


class Fit(NamedTuple):
  """Of scikit-learn: counts to TF-IDF, TF-IDF to the leading directions."""

  tfidf: Any
  svd: Any


@dataclasses.dataclass(kw_only=True)
class LatentSemantic:
  """Unit vectors, float32 [n, dimensions], of the head of each text.

  Attributes:
    tokenizer: whose pieces are counted.
    dimensions: leading singular vectors that are kept.
    max_input_tokens: the text's head that is embedded, in tokens.
    sample_size: texts of the pool that are fitted to, a uniform sample.
    seed: of the sample and of the randomised decomposition.
    vector_type: of the stored vectors, "float32" or "float16".
    part_records: records a part.
    name: the name of the embedding in tables.
  """

  tokenizer: Tokenizer
  dimensions: int
  max_input_tokens: int
  sample_size: int
  seed: int
  vector_type: str
  part_records: int = 4096
  name: str = "latent_semantic"

  fit: Fit | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Raises ValueError for what embeds nothing, or cannot be stored."""
    stored_vectors.check_type(self.vector_type)
    if min(self.dimensions, self.max_input_tokens, self.sample_size) < 1:
      raise EmbeddingError(
        "dimensions, max_input_tokens and sample_size must be at least 1, got "
        f"{self.dimensions}, {self.max_input_tokens}, {self.sample_size}"
      )

  def identity(self) -> dict:
    """All that a vector depends on, beside the texts."""
    return {
      "name": self.name,
      "vocabulary": self.tokenizer.fingerprint,
      "dimensions": self.dimensions,
      "max_input_tokens": self.max_input_tokens,
      "sample_size": self.sample_size,
      "seed": self.seed,
      "vector_type": self.vector_type,
    }

  def prepare(self, read: interface.Read) -> None:
    """Fits weights and directions to a sample of the pool.

    Raises:
      EmbeddingError: fewer texts or different pieces than dimensions.
    """
    from sklearn import decomposition
    from sklearn.feature_extraction import text as text_features

    texts = (text for block in read("pool") for text in block if text.strip())
    counts = self._counts(
      subsample.sample(texts, self.sample_size, seed=self.seed)
    )
    tfidf = text_features.TfidfTransformer(sublinear_tf=True).fit(counts)
    pieces = len(np.unique(counts.indices))
    if self.dimensions >= min(counts.shape[0], pieces):
      raise EmbeddingError(
        f"{counts.shape[0]} texts of {pieces} different pieces have no "
        f"{self.dimensions} directions: lower dimensions, or bring more text"
      )
    svd = decomposition.TruncatedSVD(
      self.dimensions, random_state=np.random.RandomState(self.seed)
    )
    self.fit = Fit(tfidf, svd.fit(tfidf.transform(counts)))

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Columns "embedding", and "score", the norm that was left of a text.

    "score" in [0, 1] is the norm before it was made 1: the share of the text
    that the leading directions account for. A text with none of it has the
    zero vector; a text without a piece is unscorable.

    Raises:
      EmbeddingError: before `prepare`.
    """
    if self.fit is None:
      raise EmbeddingError("prepare must run before score: nothing is fitted")
    counts = self._counts(batch)
    lengths = np.diff(counts.indptr)
    found, norms = self._vectors(counts)
    statuses = [
      interface.SCORED if length else interface.unscorable("empty")
      for length in lengths
    ]
    return stored_vectors.scores(
      found, statuses, norms=norms, vector_type=self.vector_type
    )

  def _vectors(
    self, counts
  ) -> tuple[Float32[np.ndarray, "n e"], Float32[np.ndarray, " n"]]:
    directions = self.fit.svd.components_.T
    found = self.fit.tfidf.transform(counts) @ directions
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    unit = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
    return unit.astype(np.float32), norms[:, 0].astype(np.float32)

  def _counts(self, texts: Sequence[str]):
    """Counts of each piece in the head of each text, a sparse [n, pieces]."""
    from scipy import sparse

    heads = [
      np.asarray(self.tokenizer.encode(text)[: self.max_input_tokens], np.int64)
      for text in texts
    ]
    ends = np.cumsum([0, *map(len, heads)])
    pieces = np.concatenate([*heads, np.empty(0, np.int64)])
    counts = sparse.csr_matrix(
      (np.ones(len(pieces), np.float64), pieces, ends),
      shape=(len(heads), self.tokenizer.size),
    )
    counts.sum_duplicates()
    return counts
