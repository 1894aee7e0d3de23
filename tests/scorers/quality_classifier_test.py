# SPDX-License-Identifier: Apache-2.0
"""The classifier tells sets apart, and does not remember what it was taught."""

import math
import re

import numpy as np
import pytest

from data_efficient.scorers import quality_classifier

GOOD = "The function returns a sorted list of the values that it is given ."
BAD = "xx0 ;; {} def __init__ 17 , 18 , 19 0x00 ; // generated @@ skip"


def texts(source, count, seed=0):
  words = source.split()
  generator = np.random.default_rng(seed)
  return [
    " ".join(generator.choice(words, 12)) + f" {seed}x{i}" for i in range(count)
  ]


def make(**changes):
  settings = {
    "features": 2**14,
    "ngrams": 2,
    "regularisation": 1.0,
    "max_examples": 500,
    "folds": 2,
    "seed": 0,
  }
  return quality_classifier.QualityClassifier(**(settings | changes))


def prepared(reference, pool, **changes):
  scorer = make(**changes)
  splits = {"reference": reference, "pool": pool}
  scorer.prepare(lambda split: iter([splits[split][:7], splits[split][7:]]))
  return scorer


def test_reference_like_texts_score_higher():
  scorer = prepared(texts(GOOD, 80), texts(BAD, 120))
  scores = scorer.score(texts(GOOD, 20, seed=1) + texts(BAD, 20, seed=1))
  found = scores.columns["score"]
  assert found.dtype == np.float32 and scores.statuses == ["scored"] * 40
  assert found[:20].min() > 0 > found[20:].max()


def test_texts_that_were_taught_score_like_texts_that_were_not():
  # The pool is reference-like text: only memory could tell them apart.
  pool = texts(GOOD, 300, seed=2)
  scorer = prepared(texts(GOOD, 150), pool, max_examples=150)
  everything = scorer.score(pool).columns["score"]
  from data_efficient.scorers import subsample

  taught = set(subsample.sample(pool, 150, seed=0))
  remembered = np.array([text in taught for text in pool])
  gap = everything[remembered].mean() - everything[~remembered].mean()
  assert abs(gap) < 4 * everything.std() / math.sqrt(75)


def test_scores_are_the_same_again_and_for_any_batch():
  reference, pool = texts(GOOD, 60), texts(BAD, 60)
  first = prepared(reference, pool).score(pool).columns["score"]
  scorer = prepared(reference, pool)
  again = [scorer.score([text]).columns["score"][0] for text in pool]
  np.testing.assert_array_equal(first, again)


def test_counts_are_of_words_marks_and_pairs():
  counts = make()._counts(["Ab ab, ab,"])
  pieces = re.findall(r"\w+|[^\w\s]", "Ab ab, ab,")
  grams = pieces + list(zip(pieces, pieces[1:], strict=False))
  assert counts.sum() == len(grams)
  assert counts.nnz == len(set(grams))


def test_the_odds_do_not_depend_on_the_sizes_of_the_sets():
  pool = texts(GOOD, 400, seed=3)
  scores = prepared(texts(GOOD, 40), pool).score(texts(GOOD, 50, seed=4))
  assert abs(scores.columns["score"].mean()) < 0.7  # ln(40/400) = −2.3


def test_empty_texts_are_unscorable():
  scorer = prepared(texts(GOOD, 60), texts(BAD, 60) + [" "])
  scores = scorer.score(["", "a word", " \n"])
  assert scores.statuses == ["unscorable(empty)", "scored", "unscorable(empty)"]
  assert np.isnan(scores.columns["score"]).tolist() == [True, False, True]
  assert scorer.score([]).columns["score"].shape == (0,)


def test_identity_names_every_number():
  assert make().identity() == {
    "name": "quality_classifier",
    "features": 2**14,
    "ngrams": 2,
    "regularisation": 1.0,
    "max_examples": 500,
    "folds": 2,
    "seed": 0,
    "positives": "reference",
    "negatives": "pool",
  }


@pytest.mark.parametrize("pool", [[], ["one"], ["same"] * 50])
def test_too_little_to_teach_with_is_refused(pool):
  with pytest.raises(quality_classifier.ClassifierError, match="'pool' has"):
    prepared(texts(GOOD, 20), pool)


@pytest.mark.parametrize(
  "wrong", [{"folds": 1}, {"ngrams": 0}, {"regularisation": 0.0}]
)
def test_numbers_that_teach_nothing_are_refused(wrong):
  with pytest.raises(quality_classifier.ClassifierError, match="must be"):
    make(**wrong)


def test_scoring_before_preparing_is_refused():
  with pytest.raises(quality_classifier.ClassifierError, match="prepare"):
    make().score(["text"])
