# SPDX-License-Identifier: Apache-2.0
"""LSA against a dense twin, and what a corpus of topics looks like in it."""

import math
from collections import Counter

import numpy as np
import pytest

from data_efficient.scorers import latent_semantic

TOPICS = ("sea ship sail wave", "cell gene virus blood", "law court judge act")


class Words:
  """Every word is a piece."""

  fingerprint = "words"
  size = 40
  eos_id = 1
  begin_ids = ()
  piece_of_zero = None

  def __init__(self):
    self.numbers = {}

  def encode(self, text):
    words = text.split()
    for word in words:
      self.numbers.setdefault(word, len(self.numbers) + 2)
    return [self.numbers[word] for word in words]

  def answer_ids(self, word):
    return self.encode(word)


def _texts(count, *, seed):
  generator = np.random.default_rng(seed)
  topics = generator.integers(len(TOPICS), size=count)
  texts = [
    " ".join(
      [*generator.choice(TOPICS[topic].split(), 12), "the", "of", f"n{topic}"]
    )
    for topic in topics
  ]
  return topics, texts


def _fitted(texts, **values):
  settings = {
    "tokenizer": Words(),
    "dimensions": 3,
    "max_input_tokens": 50,
    "sample_size": 1000,
    "seed": 0,
    "vector_type": "float32",
  }
  scorer = latent_semantic.LatentSemantic(**settings | values)
  scorer.prepare(lambda split: iter([texts[:7], texts[7:]]))
  return scorer


def _twin(scorer, texts):
  """TF-IDF and its projection, term by term."""
  encode = scorer.tokenizer.encode
  documents = [Counter(encode(text)) for text in texts]
  frequency = Counter(piece for found in documents for piece in found)
  rows = np.zeros((len(texts), scorer.tokenizer.size))
  for row, found in enumerate(documents):
    for piece, count in found.items():
      idf = math.log((1 + len(texts)) / (1 + frequency[piece])) + 1
      rows[row, piece] = (1 + math.log(count)) * idf
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  _, _, directions = np.linalg.svd(rows, full_matrices=False)
  projected = rows @ directions[: scorer.dimensions].T
  norms = np.linalg.norm(projected, axis=1)
  return projected / norms[:, None], norms


def test_the_vectors_are_the_dense_twin_s_up_to_a_rotation():
  _, texts = _texts(60, seed=0)
  scorer = _fitted(texts)
  found = scorer.score(texts)
  expected, norms = _twin(scorer, texts)
  vectors = found.columns["embedding"]
  assert vectors.dtype == np.float32
  np.testing.assert_allclose(
    vectors @ vectors.T, expected @ expected.T, atol=1e-5
  )
  np.testing.assert_allclose(found.columns["score"], norms, rtol=1e-5)


def test_texts_of_a_topic_are_neighbours():
  topics, texts = _texts(60, seed=1)
  vectors = _fitted(texts).score(texts).columns["embedding"]
  similar = vectors @ vectors.T
  np.fill_diagonal(similar, -1)
  assert (topics[similar.argmax(axis=1)] == topics).mean() == 1.0


def test_a_vector_does_not_depend_on_its_neighbours():
  _, texts = _texts(40, seed=2)
  scorer = _fitted(texts)
  whole = scorer.score(texts).columns["embedding"]
  alone = [scorer.score([text]).columns["embedding"][0] for text in texts]
  np.testing.assert_array_equal(whole, np.stack(alone))


def test_only_the_head_of_a_text_is_embedded():
  _, texts = _texts(40, seed=3)
  scorer = _fitted(texts, max_input_tokens=5)
  heads = [" ".join(text.split()[:5]) for text in texts]
  np.testing.assert_array_equal(
    scorer.score(texts).columns["embedding"],
    scorer.score(heads).columns["embedding"],
  )


def test_blank_and_foreign_texts():
  _, texts = _texts(40, seed=4)
  scorer = _fitted(texts)
  found = scorer.score(["  ", "unheard"])
  assert found.statuses == ["unscorable(empty)", "scored"]
  np.testing.assert_array_equal(found.columns["embedding"][0], 0)


@pytest.mark.parametrize("texts", [["a b", "b c"], ["a a a"] * 40])
def test_too_little_text_is_refused(texts):
  with pytest.raises(latent_semantic.EmbeddingError, match="lower dimensions"):
    _fitted(texts)


def test_scoring_before_fitting_is_refused():
  scorer = latent_semantic.LatentSemantic(
    tokenizer=Words(),
    dimensions=2,
    max_input_tokens=4,
    sample_size=9,
    seed=0,
    vector_type="float32",
  )
  with pytest.raises(latent_semantic.EmbeddingError, match="prepare must run"):
    scorer.score(["a"])
  with pytest.raises(latent_semantic.EmbeddingError, match="at least 1"):
    latent_semantic.LatentSemantic(
      tokenizer=Words(),
      dimensions=0,
      max_input_tokens=4,
      sample_size=9,
      seed=0,
      vector_type="float32",
    )
