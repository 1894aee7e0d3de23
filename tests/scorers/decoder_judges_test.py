# SPDX-License-Identifier: Apache-2.0
"""Judges of the published decoder-only families: no start, 0 is a piece."""

import functools

import jax
import numpy as np
import pytest

from data_efficient.models import networks
from data_efficient.scorers import objectives, perplexity
from tests.scorers import asked


class Zeros(asked.Letters):
  """Id 0 spells "z"."""

  piece_of_zero = "z"

  def encode(self, text):
    letters = (letter for letter in text if not letter.isspace())
    return [0 if letter == "z" else 3 + ord(letter) % 50 for letter in letters]


class Begun(Zeros):
  """Every text begins with a mark."""

  begin_ids = (63,)


TEXTS = ["a text that is long enough, zzz and more of it", "zz", "", "azb"]


@pytest.fixture(scope="module")
def judge():
  return asked.judge(asked.LLAMA)


@pytest.mark.parametrize("tokenizer", [Zeros(), Begun()])
def test_ask_llm(judge, tokenizer):
  question = asked.question(prompt=asked.CONTINUED, tokenizer=tokenizer)
  scores = asked.scorer(judge, question).score(TEXTS)
  assert scores.statuses == [*["scored"] * 2, "unscorable(empty)", "scored"]
  for row in (0, 1, 3):
    inputs = question.input_ids(question.document(TEXTS[row]))
    assert inputs[: len(tokenizer.begin_ids)] == [*tokenizer.begin_ids]
    for word in ("yes", "no", "NO")[: None if row == 0 else 1]:
      slow = asked.slowly(judge, inputs, asked.ANSWERS[word])
      found = scores.columns[f"log_p_{word}"][row]
      assert found == pytest.approx(slow, abs=1e-5), (row, word)


def _log_probabilities(judge, tokens):
  """Of each token after those before it, softmax in float64; 0 of the first."""
  row = np.array([tokens], np.int32)
  batch = {"decoder_input_tokens": row, "decoder_target_tokens": row}
  logits = np.asarray(
    jax.jit(functools.partial(networks.logits, judge.network, dropout=None))(
      judge.parameters, batch
    )[0],
    np.float64,
  )
  logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
  return [0.0, *logits[np.arange(len(tokens) - 1), tokens[1:]]]


@pytest.mark.parametrize("tokenizer", [Zeros(), Begun()])
def test_perplexity(judge, tokenizer):
  scorer = perplexity.Perplexity(
    **{"judge": judge, "tokenizer": tokenizer, "max_input_tokens": 24},
    **{"objective": objectives.CausalLm(), "windows": "head"},
    **{"max_windows": 1, "length_step": 8, "batch_tokens": 96},
    **{"part_records": 8},
  )
  columns = scorer.score(TEXTS).columns
  begun = len(tokenizer.begin_ids)
  for row in (0, 1, 3):
    pieces = tokenizer.encode(TEXTS[row])
    ends = [tokenizer.eos_id] if len(pieces) <= scorer.window_tokens else []
    tokens = [*tokenizer.begin_ids, *pieces[: scorer.window_tokens], *ends]
    # Without a mark before it, the first piece cannot be predicted.
    given = max(begun, 1)
    slow = sum(_log_probabilities(judge, tokens)[given:])
    assert columns["target_tokens"][row] == len(tokens) - given
    assert columns["log_likelihood"][row] == pytest.approx(slow, abs=1e-4)


def test_a_piece_that_another_judge_would_not_see(judge):
  question = asked.question(tokenizer=Zeros())
  with pytest.raises(ValueError, match="id 0 .* ordinary piece 'z'"):
    asked.scorer(asked.judge(), question)


def test_an_empty_row_of_a_batch_is_no_error(judge):
  question = asked.question(prompt=asked.CONTINUED, tokenizer=Zeros())
  scores = asked.scorer(judge, question).score(["z"])
  assert np.isfinite(scores.columns["score"]).all()
