# SPDX-License-Identifier: Apache-2.0
"""Importance weights of hashed n-grams, against their definition."""

import collections
import math

import numpy as np
import pytest

from data_efficient.scorers import dsir, interface

TARGET = ["The list is sorted, and returned.", "A list of the values."]
RAW = ["buy now!! click here", "The click is here, now", "values of here"]


def make(**changes):
  settings = {"buckets": 10_000, "ngrams": 2, "min_words": 1, "seed": 0}
  return dsir.Dsir(**(settings | changes))


def prepared(target=TARGET, raw=RAW, **changes):
  scorer = make(**changes)
  splits = {"reference": target, "pool": raw}
  scorer.prepare(lambda split: iter([splits[split][:1], splits[split][1:]]))
  return scorer


def _grams(text):
  """Words and runs of marks, and their pairs, in small letters."""
  words, word = [], ""
  for before, character in zip(" " + text.lower(), text.lower(), strict=False):
    alike = character.isalnum() == before.isalnum()
    if word and (character.isspace() or not alike):
      words.append(word)
      word = ""
    word += character.strip()
  words += [word] if word else []
  return words + [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)]


def _slow(text):
  """log p(text | target) − log p(text | raw), n-gram by n-gram."""
  counts = [
    collections.Counter(gram for text in texts for gram in _grams(text))
    for texts in (TARGET, RAW)
  ]
  total = 0.0
  for gram in _grams(text):
    shares = [count[gram] / count.total() for count in counts]
    total += math.log(shares[0] + 1e-8) - math.log(shares[1] + 1e-8)
  return total


@pytest.mark.parametrize("text", [*TARGET, *RAW, "the list, now", "unseen"])
def test_scores_are_sums_over_ngrams(text):
  # So many buckets that no two of these n-grams meet in one.
  scorer = prepared(buckets=2**22)
  assert scorer.score([text]).columns["score"][0] == pytest.approx(
    _slow(text), rel=1e-5, abs=1e-5
  )


def test_texts_like_the_target_weigh_more():
  scores = prepared().score([*TARGET, *RAW]).columns["score"]
  assert scores.dtype == np.float32 and scores[:2].min() > 0 > scores[2:].max()


def test_the_seed_is_the_hash_s():
  first, again, other = make(), make(), make(seed=1)
  grams = [f"word {number}" for number in range(300)]
  found = [[s.bucket(g) for g in grams] for s in (first, again, other)]
  assert found[0] == found[1] != found[2]
  assert len(set(found[0])) > 280 and max(found[0]) < 10_000
  assert first.identity() != other.identity()


def test_short_texts_are_unscorable():
  scores = prepared(min_words=3).score(["", " \n", "two words", "a b c"])
  assert scores.statuses == [
    interface.unscorable("empty"),
    interface.unscorable("empty"),
    interface.unscorable("fewer than 3 words"),
    interface.SCORED,
  ]
  assert np.isnan(scores.columns["score"]).tolist() == [True] * 3 + [False]
  assert prepared().score([]).columns["score"].shape == (0,)


def test_longer_ngrams_count_too():
  one, three = (prepared(ngrams=n).score(["a list of"]) for n in (1, 3))
  assert one.columns["score"][0] != three.columns["score"][0]


@pytest.mark.parametrize("raw", [[], [" "]])
def test_a_split_without_words_is_refused(raw):
  with pytest.raises(dsir.DsirError, match="'pool' has no word"):
    prepared(raw=raw)


@pytest.mark.parametrize(
  "wrong", [{"buckets": 0}, {"ngrams": 0}, {"min_words": -1}, {"seed": -1}]
)
def test_numbers_that_mean_nothing_are_refused(wrong):
  with pytest.raises(dsir.DsirError, match="must be"):
    make(**wrong)


def test_scoring_before_preparing_is_refused():
  with pytest.raises(dsir.DsirError, match="prepare"):
    make().score(["text"])


def test_identity_names_every_number():
  assert make().identity() == {
    **{"name": "dsir", "buckets": 10_000, "ngrams": 2, "min_words": 1},
    **{"seed": 0, "target": "reference", "raw": "pool"},
  }
