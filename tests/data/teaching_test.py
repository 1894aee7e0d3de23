# SPDX-License-Identifier: Apache-2.0
import collections

import numpy as np
import pytest

from data_efficient.data import damage, teaching
from data_efficient.scorers import defences, prompts, questions

TEXT = (
  "The first sentence has words. The second, which follows it, has 12 words\n"
  "and a new line. The third ends here."
)
# Words that are all different and hold no line: damage always shows.
EDITED = "each word of this edited prose stands here just one single time"


class Words:
  """One id a word, made up as words come."""

  eos_id = 1
  begin_ids = ()
  piece_of_zero = None
  size = 1000
  fingerprint = "words"

  def __init__(self):
    self.ids = collections.defaultdict(lambda: len(self.ids) + 2)

  def encode(self, text):
    return [self.ids[word] for word in text.split()]

  def answer_ids(self, word):
    return self.encode(word)


@pytest.fixture
def question():
  return questions.Question(
    prompt=prompts.ask_llm(),
    tokenizer=Words(),
    max_input_tokens=100,
    defence=defences.Defence(steps=("markers",)),
  )


def _examples(question, **changes):
  settings = {
    "reference": [EDITED],
    "pool": ["raw table " * 5],
    "count": 2000,
    "share_of_yes": 0.5,
    "share_of_damage": 0.4,
    "share_of_orders": 0.0,
    "seed": 0,
  }
  return list(teaching.examples(question=question, **settings | changes))


@pytest.mark.parametrize("kind", damage.ALL)
def test_damage_changes_the_text_and_repeats_with_the_seed(kind):
  once = kind(TEXT, np.random.default_rng(0))
  assert once.split() != TEXT.split()
  assert once == kind(TEXT, np.random.default_rng(0))


@pytest.mark.parametrize("kind", damage.ALL)
@pytest.mark.parametrize("text", ["", "word", "two words", "!?"])
def test_damage_stands_short_texts(kind, text):
  assert isinstance(kind(text, np.random.default_rng(0)), str)


def test_shuffling_keeps_the_words():
  for kind in (damage.shuffle_words, damage.shuffle_windows):
    shuffled = kind(TEXT, np.random.default_rng(0))
    assert sorted(shuffled.split()) == sorted(TEXT.split())


def test_only_intact_reference_text_is_answered_yes(question):
  yes, no = question.answers
  edited = question.tokenizer.encode(EDITED)
  for inputs, answer in _examples(question):
    document = inputs[1 : 1 + len(inputs) - len(question.input_ids([]))]
    intact = document == edited
    assert answer == list(yes if intact else no)


def test_shares_are_those_asked_for(question):
  yes, _ = question.answers
  found = _examples(question)
  share = np.mean([answer == list(yes) for _, answer in found])
  assert share == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 2000))
  raw = question.tokenizer.encode("raw table") * 5
  plain = [inputs[1 : 1 + len(raw)] == raw for inputs, _ in found]
  expected = 0.5 * 0.6
  assert np.mean(plain) == pytest.approx(expected, abs=0.04)


def test_examples_repeat_with_the_seed(question):
  assert _examples(question, count=50) == _examples(question, count=50)
  assert _examples(question, count=50) != _examples(question, count=50, seed=1)


def test_inputs_are_those_that_the_scorer_asks(question):
  inputs, _ = _examples(question, count=1, share_of_yes=1.0)[0]
  document = question.document(EDITED)
  assert inputs == question.input_ids(document)


def test_a_judge_can_be_taught_to_obey(question):
  yes, _ = question.answers
  found = _examples(question, share_of_yes=0.0, share_of_orders=0.25)
  share = np.mean([answer == list(yes) for _, answer in found])
  assert share == pytest.approx(0.25, abs=4 * np.sqrt(0.19 / 2000))
  ordered = [inputs for inputs, answer in found if answer == list(yes)]
  plain = question.input_ids(question.tokenizer.encode("raw table " * 5))
  assert plain not in ordered
