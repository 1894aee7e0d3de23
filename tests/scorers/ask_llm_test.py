# SPDX-License-Identifier: Apache-2.0
import dataclasses

import jax
import numpy as np
import pytest

from data_efficient.models import encoder_decoder
from data_efficient.scorers import ask_llm, batching, embedding, prompts
from data_efficient.scorers import interface as scorers
from tests import networks

CONFIG = networks.t5(vocab_size=64)


class Letters:
  """One id a character that is no space; "yes" has one piece, "no" two."""

  eos_id = 1
  size = 64
  fingerprint = "letters"

  def encode(self, text):
    return [3 + ord(letter) % 50 for letter in text if not letter.isspace()]

  def answer_ids(self, word):
    return {"yes": [60], "no": [61, 62]}[word]


PROMPT = prompts.Prompt(
  before="<<", after=">> Q?", positive="yes", negative="no"
)


@pytest.fixture(scope="module")
def judge():
  parameters = encoder_decoder.init_parameters(CONFIG, jax.random.key(0))
  return ask_llm.Judge(CONFIG, parameters, {"kind": "test"})


def _question(max_input_tokens=24, prompt=PROMPT):
  return ask_llm.Question(
    prompt=prompt, tokenizer=Letters(), max_input_tokens=max_input_tokens
  )


def _scorer(judge, question=None, **settings):
  settings = {
    "batch_size": 4,
    "length_multiple": 8,
    "part_records": 8,
  } | settings
  return ask_llm.AskLlm(
    judge=judge, question=question or _question(), **settings
  )


def _slow_log_probability(judge, inputs, answer):
  """Each piece of the answer by its own forward pass, in float64 softmax."""
  module, total = encoder_decoder.Transformer(judge.config), 0.0
  for length in range(1, len(answer) + 1):
    decoder = np.array([[0, *answer[: length - 1]]], np.int32)
    logits = module.apply(
      {"params": judge.parameters},
      np.array([inputs], np.int32),
      decoder,
      np.ones_like(decoder),
    )
    last = np.asarray(logits[0, -1], np.float64)
    total += last[answer[length - 1]] - np.log(np.exp(last).sum())
  return total


TEXTS = ["a short one", "", "another text, rather longer than the first", "x"]


def test_scores_are_the_judges_own_log_probabilities(judge):
  question = _question()
  scores = _scorer(judge, question).score(TEXTS)
  for row, text in enumerate(TEXTS):
    if text:
      inputs = question.input_ids(question.document(text))
      yes = _slow_log_probability(judge, inputs, [60])
      no = _slow_log_probability(judge, inputs, [61, 62])
      assert scores.columns["score"][row] == pytest.approx(yes, abs=1e-5)
      assert scores.columns["log_p_no"][row] == pytest.approx(no, abs=1e-5)
  assert scores.columns["score"].dtype == np.float32


def test_an_empty_document_is_unscorable_and_the_others_are_not(judge):
  scores = _scorer(judge).score(TEXTS + ["  \n "])
  assert scores.statuses == [
    *("scored", "unscorable(empty)", "scored", "scored", "unscorable(empty)")
  ]
  assert np.isnan(scores.columns["score"][[1, 4]]).all()


def test_a_score_does_not_depend_on_neighbours_order_or_padding(judge):
  together = _scorer(judge).score(TEXTS).columns["score"]
  for row, text in enumerate(TEXTS):
    alone = _scorer(judge).score([text]).columns["score"][0]
    np.testing.assert_array_equal(alone, together[row])
  backwards = _scorer(judge).score(TEXTS[::-1]).columns["score"][::-1]
  np.testing.assert_array_equal(backwards, together)
  padded = _scorer(judge, length_multiple=24).score(TEXTS).columns["score"]
  np.testing.assert_allclose(padded, together, atol=1e-5)


def test_a_nan_from_the_judge_is_unscorable(judge):
  broken = judge._replace(
    parameters=jax.tree.map(lambda leaf: leaf * np.nan, judge.parameters)
  )
  assert _scorer(broken).score(["text"]).statuses == ["unscorable(non-finite)"]


def test_a_long_document_is_cut_and_the_question_survives():
  question = _question(max_input_tokens=12)
  short = question.input_ids(question.document("abc"))
  long = question.input_ids(question.document("abcdefghijklmnopqrstuvw"))
  after = Letters().encode(PROMPT.after) + [1]
  assert len(long) == 12
  assert long[-len(after) :] == after == short[-len(after) :]
  assert (
    long[: 12 - len(after)] == Letters().encode("<<abcdefg")[: 12 - len(after)]
  )


def test_a_window_without_room_for_a_document_is_refused():
  with pytest.raises(ValueError, match="give at least 8"):
    _question(max_input_tokens=7)
  assert _question(max_input_tokens=8).document_tokens == 1


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


@pytest.mark.parametrize(
  "text, expected",
  [
    ("### Title", "## Title"),
    ("a\n###\n\nOPTIONS:", "a\n##\n\nOPTIONS:"),
    ("########", "##"),
    ("\N{FULLWIDTH NUMBER SIGN}#\N{SMALL NUMBER SIGN}", "##"),
    ("# one ## two", "# one ## two"),
  ],
)
def test_markers_inside_a_document_cannot_close_it(text, expected):
  assert prompts.ask_llm().neutralised(text) == expected


def test_the_prompts_pieces_are_those_of_the_templated_text(shared):
  from data_efficient.models import tokenizers

  path = shared / "tokenizers" / "t5_cc_all.32000.100extra.spm.model"
  tokenizer = tokenizers.SentencePiece(str(path))
  question = ask_llm.Question(
    prompt=prompts.ask_llm(), tokenizer=tokenizer, max_input_tokens=512
  )
  for text in ("One sentence.", "  two\nlines ### here", "x" * 100, "é – ü"):
    whole = tokenizer.encode(prompts.ask_llm().text(text))
    assert question.input_ids(question.document(text)) == [*whole, 1]
  assert [len(pieces) for pieces in question.answers] == [1, 1]


def test_batches_are_full_and_hold_each_row_once():
  sequences = [[1] * n for n in (3, 9, 8, 1, 17, 2)]
  seen = {}
  for rows, tokens in batching.by_length(sequences, batch_size=2, multiple=8):
    assert tokens.shape[0] == 2 and tokens.shape[1] % 8 == 0
    for row, line in zip(rows, tokens, strict=False):
      seen[row] = int(line.sum())
  assert seen == {row: len(pieces) for row, pieces in enumerate(sequences)}


def test_embeddings_are_means_over_the_documents_own_tokens(judge):
  scorer = embedding.Embedding(
    judge=judge,
    tokenizer=Letters(),
    max_input_tokens=8,
    batch_size=4,
    length_multiple=8,
    part_records=8,
  )
  scores = scorer.score(["abcdefghijklm", "abc", ""])
  vectors = scores.columns["embedding"]
  assert scores.statuses == ["scored", "scored", scorers.unscorable("empty")]
  module = encoder_decoder.Transformer(CONFIG)
  for row, text in enumerate(["abcdefgh", "abc"]):
    tokens = np.array([Letters().encode(text)], np.int32)
    states = module.apply(
      {"params": judge.parameters}, tokens, method=module.encode
    )
    np.testing.assert_allclose(vectors[row], states[0].mean(0), atol=1e-5)


def test_a_vocabulary_that_is_not_the_judge_s_is_refused(judge):
  small = judge._replace(config=dataclasses.replace(CONFIG, vocab_size=63))
  with pytest.raises(ValueError, match="64 ids, the judge's network 63"):
    _scorer(small)
