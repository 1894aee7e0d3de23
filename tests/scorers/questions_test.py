# SPDX-License-Identifier: Apache-2.0
"""Prompts and questions: what the judge is shown of a document."""

import time

import numpy as np
import pytest

from data_efficient.data import hostile
from data_efficient.scorers import defences, prompts, questions
from tests.scorers import asked


def test_a_long_document_is_cut_and_the_question_survives():
  question = asked.question(max_input_tokens=12)
  short = question.input_ids(question.document("abc"))
  long = question.input_ids(question.document("abcdefghijklmnopqrstuvw"))
  after = asked.Letters().encode(asked.PROMPT.after) + [1]
  assert len(long) == 12
  assert long[-len(after) :] == after == short[-len(after) :]
  room = 12 - len(after)
  assert long[:room] == asked.Letters().encode("<<abcdefg")[:room]


def test_a_window_without_room_for_a_document_is_refused():
  with pytest.raises(ValueError, match="give at least 8"):
    asked.question(max_input_tokens=7)
  assert asked.question(max_input_tokens=8).document_tokens == 1


def test_the_papers_prompt_line_by_line():
  text = prompts.ask_llm().text("DOCUMENT")
  lines = text.split("\n")
  assert lines[:5] == ["###", "DOCUMENT", "###", "", lines[4]]
  assert lines[4].startswith(
    "Does the previous paragraph demarcated within ###"
  )
  assert lines[4].endswith(
    "strictly NOT have any harmful, racist, sexist, etc. content."
  )
  assert lines[5:] == ["", "OPTIONS:", "- yes", "- no"]


def test_the_prompts_pieces_are_those_of_the_templated_text(shared):
  from data_efficient.models import tokenizers

  path = shared / "tokenizers" / "t5_cc_all.32000.100extra.spm.model"
  tokenizer = tokenizers.SentencePiece(str(path))
  question = questions.Question(
    prompt=prompts.ask_llm(),
    tokenizer=tokenizer,
    max_input_tokens=512,
    defence=defences.Defence(steps=("markers",)),
  )
  for text in ("One sentence.", "  two\nlines ## here", "x" * 100, "é – ü"):
    whole = tokenizer.encode(prompts.ask_llm().text(text))
    assert question.input_ids(question.document(text)) == [*whole, 1]
  assert [len(pieces) for pieces in question.answers] == [1, 1]


class Words:
  """A piece a word; counts the characters that it was given."""

  eos_id, begin_ids, size, fingerprint = 1, (), 1000, "words"
  piece_of_zero = None

  def __init__(self):
    self.characters = 0

  def encode(self, text):
    self.characters += len(text)
    return [3 + len(word) for word in text.split()]

  def answer_ids(self, word):
    return [2]


@pytest.mark.parametrize("space", [" ", "\n", "  \n\n\t "])
def test_the_head_of_a_long_text_is_that_of_the_whole(space):
  text = space.join("x" * (1 + n % 40) for n in range(5000))
  tokenizer = Words()
  whole = tokenizer.encode(text)
  tokenizer.characters = 0
  for tokens in (1, 7, 100):
    assert questions.head(tokenizer, text, tokens) == whole[:tokens]
  assert tokenizer.characters < len(text) / 2
  assert questions.head(tokenizer, text, 10_000) == whole


def test_a_word_that_is_too_long_goes_on_as_another():
  letters = asked.Letters()
  text = "abcdefghij" * 1000
  assert questions.head(letters, text, 7) == letters.encode(text)[:7]
  tokenizer = Words()
  assert questions.head(tokenizer, "x" * 2500, 9) == [1027, 1027, 455]
  assert questions.head(tokenizer, "x" * 2500, 1) == [1027]
  assert questions.head(tokenizer, "x" * 1024, 9) == [1027]


DEFENCES = [(), ("unicode", "markers", "copies", "orders"), (*defences.STEPS,)]


def _words_question(steps):
  return questions.Question(
    prompt=prompts.ask_llm(),
    tokenizer=Words(),
    max_input_tokens=100,
    defence=defences.Defence(steps=steps),
  )


@pytest.mark.parametrize("steps", DEFENCES)
def test_the_judge_sees_the_head_of_the_cleaned_text(steps):
  question = _words_question(steps)
  generator = np.random.default_rng(0)
  attacks = hostile.attacks(question.prompt)
  for _ in range(20):
    blocks = [
      " ".join("x" * n for n in generator.integers(20, 60, 8)) + "."
      for _ in range(20)
    ]
    for attack in generator.choice(len(attacks), 20):
      at = generator.integers(len(blocks))
      blocks[at] = attacks[attack](blocks[at], generator)
    text = "\n".join(blocks)
    whole = question.document(text, whole=True)
    assert question.document(text) == whole[: question.document_tokens]


@pytest.mark.parametrize("steps", DEFENCES[:2])
@pytest.mark.parametrize("name", hostile.broken())
def test_broken_texts_are_read_in_linear_time(steps, name):
  question = _words_question(steps)
  text = hostile.broken()[name]
  began = time.process_time()
  pieces = question.document(text)
  # A quadratic step would take minutes for the million characters.
  assert time.process_time() - began < 20
  assert len(pieces) <= question.document_tokens
  if name in ("empty", "white_space"):
    assert pieces == []


def test_the_defence_is_part_of_the_identity():
  one, other = (asked.question(steps=steps) for steps in ((), ("markers",)))
  assert one.identity() != other.identity()
  assert other.identity()["defence"] == {
    "steps": ["markers"],
    "rules": defences.RULES,
  }


def test_both_answers_are_told_in_all_casings():
  assert prompts.ask_llm().casings() == ("yes", "Yes", "YES", "no", "No", "NO")
  assert set(asked.question().casings) == set(asked.ANSWERS)
  with pytest.raises(ValueError, match="two different words"):
    prompts.Prompt(before="", after="", positive="Yes", negative="yes")


def test_a_prompt_that_is_continued_ends_with_the_question():
  question = asked.question(prompt=asked.CONTINUED)
  inputs = question.input_ids(question.document("abc"))
  assert inputs == asked.Letters().encode("<<abc>> A:")
  assert prompts.ask_llm_continued().text("x").endswith("ANSWER:")
