# SPDX-License-Identifier: Apache-2.0
"""A cheap quality classifier: does a text read like the reference set?

  score(x) = log P(reference | x) − log P(pool | x)

by logistic regression on the TF-IDF of hashed word n-grams, both classes
weighted alike. The baseline that any judge must be compared with.

A text must not be scored by a model that was taught that this very text is
"pool": the classes of the taught ones would be remembered, and texts that
happened not to be sampled for teaching would win. So texts are dealt into
folds by a hash of their content (duplicates stay together), and each fold is
scored by the model taught on the others.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash
from jaxtyping import Float32, Int64

from data_efficient import progress
from data_efficient.scorers import interface, subsample

# Words, and each mark of punctuation: how a text is set says much about it.
TOKEN = r"\w+|[^\w\s]"
MAX_ITERATIONS = 1000


class ClassifierError(ValueError):
  """Texts that no classifier can be taught from."""


class Fold(NamedTuple):
  """A taught model: of scikit-learn, from n-gram counts to log-odds."""

  tfidf: Any
  model: Any


@dataclasses.dataclass(kw_only=True)
class QualityClassifier:
  """Scores texts by their log-odds of belonging to the reference set.

  Attributes:
    features: buckets that n-grams are hashed into (2¹⁸ is plenty for 10⁵
      texts).
    ngrams: longest n-gram, in words and punctuation marks.
    regularisation: strength λ of the L2 penalty, added to the summed
      log-loss of the texts as λ/2 · ‖θ‖².
    max_examples: texts of each class that are taught, a uniform sample.
    folds: models, each taught without the texts that it scores; at least 2.
    seed: of the sample.
    positives: the split of well-edited text.
    negatives: the split that it is told apart from.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  features: int
  ngrams: int
  regularisation: float | int
  max_examples: int
  folds: int
  seed: int
  positives: str = "reference"
  negatives: str = "pool"
  part_records: int = 4096
  name: str = "quality_classifier"

  taught: list[Fold] | None = dataclasses.field(
    default=None, init=False, repr=False, compare=False
  )

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Refuses numbers that teach nothing, with ClassifierError."""
    if self.folds < 2 or self.ngrams < 1 or self.features < 1:
      raise ClassifierError(
        "folds must be at least 2, ngrams and features at least 1, got "
        f"folds={self.folds}, ngrams={self.ngrams}, features={self.features}"
      )
    if not self.regularisation > 0:
      raise ClassifierError(
        f"regularisation must be positive, got {self.regularisation}"
      )

  def identity(self) -> dict:
    """All that a score depends on, beside the texts."""
    return {
      "name": self.name,
      "features": self.features,
      "ngrams": self.ngrams,
      "regularisation": self.regularisation,
      "max_examples": self.max_examples,
      "folds": self.folds,
      "seed": self.seed,
      "positives": self.positives,
      "negatives": self.negatives,
    }

  def prepare(self, read: interface.Read) -> None:
    """Teaches one model a fold.

    Raises:
      ClassifierError: a split with no text in some models' teaching folds.
    """
    positives = self._sample(read, self.positives)
    negatives = self._sample(read, self.negatives)
    texts = positives + negatives
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    counts = self._counts(
      progress.over(texts, f"{self.name}: count n-grams", total=len(texts))
    )
    folds = self._folds(texts)
    self.taught = [
      self._teach(counts[folds != fold], labels[folds != fold])
      for fold in progress.over(
        range(self.folds), f"{self.name}: teach folds", total=self.folds
      )
    ]

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Column "score", float32 [n], log-odds; a text of no word is unscorable.

    Raises:
      ClassifierError: before `prepare`.
    """
    if self.taught is None:
      raise ClassifierError("prepare must run before score: nothing is taught")
    scores = np.full(len(batch), np.nan, np.float32)
    kept = [row for row, text in enumerate(batch) if text.strip()]
    if kept:
      scores[kept] = self._log_odds([batch[row] for row in kept])
    statuses = [
      interface.SCORED if text.strip() else interface.unscorable("empty")
      for text in batch
    ]
    return interface.Scores(statuses, {"score": scores})

  def _log_odds(self, texts: Sequence[str]) -> Float32[np.ndarray, " n"]:
    counts = self._counts(texts)
    folds = self._folds(texts)
    scores = np.zeros(len(texts), np.float32)
    for number, (tfidf, model) in enumerate(self.taught):
      rows = np.flatnonzero(folds == number)
      if rows.size:
        scores[rows] = model.decision_function(tfidf.transform(counts[rows]))
    return scores

  def _sample(self, read: interface.Read, split: str) -> list[str]:
    texts = (text for block in read(split) for text in block if text.strip())
    sample = subsample.sample(texts, self.max_examples, seed=self.seed)
    if len(np.unique(self._folds(sample))) < 2:
      raise ClassifierError(
        f"the split {split!r} has {len(sample)} texts to teach with, too few "
        f"or too alike for {self.folds} folds; bring more text"
      )
    return sample

  def _folds(self, texts: Sequence[str]) -> Int64[np.ndarray, " n"]:
    hashes = [xxhash.xxh3_64_intdigest(text.encode("utf-8")) for text in texts]
    return np.array([h % self.folds for h in hashes], np.int64)

  def _counts(self, texts: Iterable[str]):
    """Returns the hashed n-gram counts of the texts, a sparse [n, features]."""
    from sklearn.feature_extraction import text as text_features

    vectorizer = text_features.HashingVectorizer(
      n_features=self.features,
      ngram_range=(1, self.ngrams),
      token_pattern=TOKEN,
      lowercase=False,
      alternate_sign=False,
      norm=None,
    )
    return vectorizer.transform(texts)

  def _teach(self, counts, labels: np.ndarray) -> Fold:
    from sklearn import linear_model
    from sklearn.feature_extraction import text as text_features

    tfidf = text_features.TfidfTransformer(sublinear_tf=True).fit(counts)
    # Balanced: the odds are those of the text, not of the sizes of the sets.
    model = linear_model.LogisticRegression(
      C=1 / self.regularisation,
      class_weight="balanced",
      max_iter=MAX_ITERATIONS,
    )
    return Fold(tfidf, model.fit(tfidf.transform(counts), labels))
