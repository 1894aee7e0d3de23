# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM against one slow forward pass a piece."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.scorers import asked
from tests.scorers.asked import TEXTS


@pytest.fixture(scope="module")
def judge():
  return asked.judge()


@pytest.fixture(scope="module")
def language_model():
  return asked.judge(asked.LANGUAGE_MODEL)


def _checked(judge, prompt):
  question = asked.question(prompt=prompt)
  scores = asked.scorer(judge, question).score(TEXTS)
  for row, text in enumerate(TEXTS):
    if text:
      inputs = question.input_ids(question.document(text))
      # Of the first text one answer of each length, of the others one.
      for word in ("yes", "No", "NO")[: None if row == 0 else 1]:
        slow = asked.slowly(judge, inputs, asked.ANSWERS[word])
        found = scores.columns[f"log_p_{word}"][row]
        assert found == pytest.approx(slow, abs=1e-5), (text, word)
  return scores


def test_scores_are_the_judges_own_log_probabilities(judge):
  scores = _checked(judge, asked.PROMPT)
  columns = scores.columns
  np.testing.assert_array_equal(columns["score"], columns["log_p_yes"])
  assert columns["score"].dtype == np.float32
  assert "log_p_YES" not in columns  # the vocabulary cannot spell it


def test_a_decoder_only_judge_is_padded_on_the_left(language_model):
  scores = _checked(language_model, asked.CONTINUED)
  np.testing.assert_array_equal(
    scores.columns["score"], scores.columns["log_p_yes"]
  )


@pytest.mark.parametrize("family", ["encoder_decoder", "decoder_only", "llama"])
def test_a_score_does_not_depend_on_neighbours_order_or_padding(
  judge, language_model, family
):
  judge, prompt = {
    "encoder_decoder": (judge, asked.PROMPT),
    "decoder_only": (language_model, asked.CONTINUED),
    "llama": (asked.judge(asked.LLAMA), asked.CONTINUED),
  }[family]
  question = asked.question(prompt=prompt)

  def scores(texts, **settings):
    scorer = asked.scorer(judge, question, **settings)
    return scorer.score(texts).columns["score"]

  together = scores(TEXTS)
  backwards = scores(TEXTS[::-1])[::-1]
  np.testing.assert_allclose(backwards, together, atol=1e-5)
  padded = scores(TEXTS, length_step=24)
  np.testing.assert_allclose(padded, together, atol=1e-5)
  wide = scores(TEXTS, batch_tokens=240)
  np.testing.assert_allclose(wide, together, atol=1e-5)
  for row, text in enumerate(TEXTS):
    alone = scores([text])[0]
    np.testing.assert_allclose(alone, together[row], atol=1e-5)


def test_equal_batches_give_equal_bytes(judge):
  first = asked.scorer(judge).score(TEXTS).columns
  again = asked.scorer(judge).score(TEXTS).columns
  for name in first:
    np.testing.assert_array_equal(first[name], again[name])


def test_an_empty_document_is_unscorable_and_the_others_are_not(judge):
  scores = asked.scorer(judge).score(TEXTS + ["  \n "])
  assert scores.statuses == [
    *("scored", "unscorable(empty)", "scored", "scored", "unscorable(empty)")
  ]
  assert np.isnan(scores.columns["score"][[1, 4]]).all()
  assert scores.columns["windows"].tolist() == [1, 0, 1, 1, 0]


def test_nothing_to_score_is_no_error(judge):
  scores = asked.scorer(judge).score([])
  assert scores.statuses == [] and scores.columns["score"].shape == (0,)


def test_a_nan_from_the_judge_is_unscorable(judge):
  broken = dataclasses.replace(
    judge,
    parameters=jax.tree.map(lambda leaf: leaf * np.nan, judge.parameters),
  )
  scores = asked.scorer(broken).score(["text"])
  assert scores.statuses == ["unscorable(non-finite)"]


@pytest.mark.parametrize("windows", ["mean", "min"])
def test_windows_cover_a_long_document(judge, windows):
  question = asked.question()
  width = question.document_tokens
  text = "abcdefghijklmnopqrstuvwxyz" * 3
  pieces = question.document(text, whole=True)
  count = -(-len(pieces) // width)
  starts = np.linspace(0, len(pieces) - width, count).astype(int)
  seen = np.zeros(len(pieces), bool)
  each = []
  for start in starts:
    seen[start : start + width] = True
    inputs = question.input_ids(pieces[start : start + width])
    each.append(asked.slowly(judge, inputs, [60]))
  assert seen.all() and count > 3

  scorer = asked.scorer(judge, question, windows=windows, max_windows=count)
  columns = scorer.score([text, "short", ""]).columns
  merged = {"mean": np.mean, "min": np.min}[windows](each)
  assert columns["score"][0] == pytest.approx(merged, abs=1e-5)
  assert columns["windows"].tolist() == [count, 1, 0]
  head = asked.scorer(judge, question).score(["short"]).columns["score"]
  np.testing.assert_allclose(columns["score"][1], head[0], atol=1e-6)


def test_a_longest_document_has_no_more_windows_than_allowed(judge):
  scorer = asked.scorer(judge, windows="mean", max_windows=2)
  columns = scorer.score(["abcdefgh" * 40]).columns
  assert columns["windows"].tolist() == [2]
  assert columns["document_tokens"].tolist() == [320]


@pytest.mark.parametrize("readout", ["yes_or_no", "casings"])
def test_other_readouts_of_the_same_answers(judge, readout):
  columns = asked.scorer(judge, readout=readout).score(["text"]).columns
  of = {word: float(columns[f"log_p_{word}"][0]) for word in asked.ANSWERS}
  p_yes, p_no = np.exp(of["yes"]), np.exp(of["no"])
  expected = {
    "yes_or_no": np.log(p_yes / (p_yes + p_no)),
    "casings": np.log(p_yes + np.exp(of["Yes"])),
  }[readout]
  assert columns["score"][0] == pytest.approx(expected, abs=1e-6)


def test_what_does_not_fit_is_refused(judge, language_model):
  with pytest.raises(ValueError, match="is a text of its own"):
    asked.scorer(language_model)
  with pytest.raises(ValueError, match="continues the prompt"):
    asked.scorer(judge, asked.question(prompt=asked.CONTINUED))
  with pytest.raises(ValueError, match="max_windows = 0"):
    asked.scorer(judge, max_windows=0)
  with pytest.raises(ValueError, match="'tail' is not a valid Windows"):
    asked.scorer(judge, windows="tail")
  small = dataclasses.replace(
    judge, network=dataclasses.replace(asked.CONFIG, vocab_size=63)
  )
  with pytest.raises(ValueError, match="64 ids, the judge's network 63"):
    asked.scorer(small)


@pytest.mark.parametrize(
  "change",
  [
    {"readout": "casings"},
    {"windows": "min"},
    {"batch_tokens": 32},
    {"length_step": 16},
  ],
)
def test_all_that_a_score_depends_on_is_in_its_identity(judge, change):
  assert asked.scorer(judge, **change).identity() != (
    asked.scorer(judge).identity()
  )


def test_prompt_and_numerics_are_in_the_identity(judge):
  found = asked.scorer(judge).identity()
  other = dataclasses.replace(asked.PROMPT, after=">> Really?")
  question = asked.question(prompt=other)
  assert asked.scorer(judge, question).identity() != found
  rounded = dataclasses.replace(
    judge, network=dataclasses.replace(asked.CONFIG, dtype="bfloat16")
  )
  assert asked.scorer(rounded).identity() != found
