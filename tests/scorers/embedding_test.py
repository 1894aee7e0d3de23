# SPDX-License-Identifier: Apache-2.0
"""Embeddings against the network itself, and what must not move a vector."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from data_efficient.models import encoder_decoder
from data_efficient.scorers import embedding, judges
from data_efficient.scorers import interface as scorers
from tests.models import encoders
from tests.scorers import asked


class Marked(asked.Letters):
  """Letters that begin with 38 and end with 39; their ids are below 40."""

  begin_ids = (38,)
  piece_of_zero = None
  end_ids = (39,)
  size = 40

  def encode(self, text):
    return [3 + ord(letter) % 32 for letter in text if not letter.isspace()]


class Unmarked(asked.Letters):
  end_ids = ()


def _scorer(encoder, tokenizer, **settings):
  defaults = {
    "prompt": "",
    "max_input_tokens": 16,
    "length_step": 8,
    "batch_tokens": 32,
    "vector_type": "float32",
    "part_records": 8,
  }
  return embedding.Embedding(
    encoder=encoder, tokenizer=tokenizer, **defaults | settings
  )


@pytest.fixture(scope="module")
def bert():
  parameters = encoders.parameters(encoders.BERT)
  return judges.Judge(encoders.BERT, parameters, {"kind": "test"})


def _embedded(judge, inputs):
  embed = jax.jit(judge.network.module().apply)
  tokens = np.array([inputs], np.int32)
  return embed({"params": judge.parameters}, tokens)[0]


def test_a_judge_s_are_means_over_the_documents_own_tokens():
  judge = asked.judge()
  scorer = _scorer(judge, Unmarked(), max_input_tokens=8)
  scores = scorer.score(["abcdefghijklm", "abc", ""])
  vectors = scores.columns["embedding"]
  assert scores.statuses == ["scored", "scored", scorers.unscorable("empty")]
  module = encoder_decoder.Transformer(asked.CONFIG)
  encode = jax.jit(functools.partial(module.apply, method=module.encode))
  for row, text in enumerate(["abcdefgh", "abc"]):
    tokens = np.array([asked.Letters().encode(text)], np.int32)
    states = encode({"params": judge.parameters}, tokens)
    np.testing.assert_allclose(vectors[row], states[0].mean(0), atol=1e-5)


def test_prompt_text_and_marks_fill_the_window(bert):
  tokenizer = Marked()
  scorer = _scorer(bert, tokenizer, prompt="pq: ")
  found = scorer.score(["abc", "abcdefghijklmnopqrstuvwxyz"])
  prompt = tokenizer.encode("pq:")
  for row, text in enumerate(["abc", "abcdefghijk"]):
    inputs = [38, *prompt, *tokenizer.encode(text), 39]
    assert len(inputs) == (8, 16)[row]
    np.testing.assert_allclose(
      found.columns["embedding"][row], _embedded(bert, inputs), atol=1e-5
    )
  np.testing.assert_allclose(found.columns["score"], 1, atol=1e-5)


def test_padding_neighbours_and_order_move_nothing(bert):
  texts = ["abc", "some words of a text", "x", "", "another text", "ab ab ab"]
  found = _scorer(bert, Marked()).score(texts).columns["embedding"]
  wide = _scorer(bert, Marked(), length_step=16, batch_tokens=160)
  turned = wide.score(texts[::-1]).columns["embedding"][::-1]
  np.testing.assert_allclose(turned, found, atol=1e-5)
  alone = [wide.score([text]).columns["embedding"][0] for text in texts]
  np.testing.assert_allclose(alone, found, atol=1e-5)


def test_halves_are_rounded_singles(bert):
  singles = _scorer(bert, Marked()).score(["abc", "hello"])
  halves = _scorer(bert, Marked(), vector_type="float16").score(
    ["abc", "hello"]
  )
  assert halves.columns["embedding"].dtype == np.float16
  np.testing.assert_array_equal(
    halves.columns["embedding"],
    singles.columns["embedding"].astype(np.float16),
  )


def test_a_vector_beyond_float16_is_unscorable(bert):
  network = dataclasses.replace(encoders.BERT, normalise=False)
  parameters = encoders.parameters(network)
  last = parameters["layers_1"]["mlp_norm"]
  last["scale"] = last["scale"] * 1e6
  large = judges.Judge(network, parameters, {"kind": "test"})
  found = _scorer(large, Marked(), vector_type="float16").score(["abc", ""])
  assert found.statuses == [
    "unscorable(vector is not finite in float16)",
    "unscorable(empty)",
  ]
  assert _scorer(large, Marked()).score(["abc"]).statuses == ["scored"]


@pytest.mark.parametrize(
  "settings, words",
  [
    ({"prompt": "query:"}, "must end with white space"),
    ({"max_input_tokens": 25}, "padded to 32 tokens, .* has 24 positions"),
    ({"max_input_tokens": 2}, "no room for a text: prompt and marks take 2"),
    ({"vector_type": "int8"}, "vector_type = 'int8'"),
  ],
)
def test_settings_that_embed_nothing_are_refused(settings, words, bert):
  with pytest.raises(ValueError, match=words):
    _scorer(bert, Marked(), **settings)


def test_every_setting_of_a_vector_is_in_its_identity(bert):
  plain = _scorer(bert, Marked()).identity()
  for settings in (
    {"prompt": "q "},
    {"max_input_tokens": 8},
    {"vector_type": "float16"},
    {"length_step": 16},
  ):
    assert _scorer(bert, Marked(), **settings).identity() != plain
  assert plain["encoder"]["network"]["pooling"] == "mean"
