# SPDX-License-Identifier: Apache-2.0
"""Utilities of pairs against one pass over each whole row."""

import dataclasses

import jax
import numpy as np
import pytest

from data_efficient.models import decoder_layers, rotary
from data_efficient.scorers import templates
from data_efficient.scorers.templates import Instruction
from tests import networks
from tests.scorers import asked, pairs
from tests.scorers.decoder_judges_test import Begun

_WINDOWED = decoder_layers.LayerKind(
  rotary=rotary.Rotary(theta=100.0), window=7
)
# What Gemma has beside Llama, windows shorter than an example among it.
GEMMA = networks.llama(
  vocab_size=64,
  **{"layers": (_WINDOWED, networks.FULL), "head_norms": True},
  **{"post_norms": True, "logit_cap": 5.0, "final_cap": 8.0},
  **{"norm_offset": 1.0, "activation": "gelu_tanh", "embedding_scale": 4.0},
)
NETWORKS = {
  "llama": asked.LLAMA,
  "gemma": GEMMA,
  "t5": asked.CONFIG,
  "language model": asked.LANGUAGE_MODEL,
}
TARGETS = pairs.instructions(6)
EXAMPLES = pairs.instructions(5, seed=1)


@pytest.fixture(scope="module", params=NETWORKS)
def judge(request):
  return pairs.judge(NETWORKS[request.param])


@pytest.fixture(scope="module")
def llama():
  return pairs.judge(asked.LLAMA)


@pytest.fixture(scope="module")
def expected(llama):
  """Of the Llama, by the settings of `pairs.scorer`."""
  return pairs.slowly(pairs.scorer(llama), TARGETS, EXAMPLES)


def test_pairs_are_those_of_whole_rows(judge):
  scorer = pairs.scorer(judge)
  lengths = {len(scorer.example(one).tokens) for one in EXAMPLES}
  assert max(lengths) == scorer.max_example_tokens > min(lengths)
  found = pairs.utilities(scorer, TARGETS, EXAMPLES)
  slow = pairs.slowly(scorer, TARGETS, EXAMPLES)
  assert np.ptp(slow) > 1e-3
  np.testing.assert_allclose(found, slow, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
  "distance", ["mean_negative_log_likelihood", "sum_negative_log_likelihood"]
)
def test_other_distances(llama, distance):
  scorer = pairs.scorer(llama, distance=distance, tokenizer=Begun())
  found = pairs.utilities(scorer, TARGETS, EXAMPLES[:3])
  slow = pairs.slowly(scorer, TARGETS, EXAMPLES[:3])
  np.testing.assert_allclose(found, slow, atol=5e-5, rtol=1e-5)


def test_batches_buckets_and_blocks_move_nothing(llama, expected, monkeypatch):
  # The head in parts, too.
  monkeypatch.setattr("data_efficient.scorers.pair_steps._POSITIONS", 30)
  scorer = pairs.scorer(
    llama, length_step=24, batch_tokens=1, examples_at_once=3
  )
  rows = [scorer.target(one) for one in TARGETS]
  columns = [scorer.example(one) for one in EXAMPLES]
  alone = scorer.alone(rows)
  for at in (slice(0, 6), slice(2, 3), slice(3, 6)):
    for of in (slice(0, 5), slice(4, 5)):
      found = scorer.block(rows[at], columns[of], alone[at])
      np.testing.assert_allclose(found, expected[at, of], atol=1e-5, rtol=0)


def test_a_template_that_ignores_the_example_makes_it_worth_nothing(llama):
  template = dataclasses.replace(
    pairs.TEMPLATE, example="Z", query="q {prompt}:"
  )
  scorer = pairs.scorer(llama, template=template)
  found = pairs.utilities(scorer, TARGETS, EXAMPLES)
  np.testing.assert_array_equal(found, np.zeros((6, 5)))


def test_what_cannot_be_scored_is_nan_and_says_why(llama):
  scorer = pairs.scorer(llama, max_tokens=40)
  records = [
    Instruction("abc", " \n"),
    Instruction("abc", "defg"),
    Instruction("a" * 30, "x"),
  ]
  rows = [scorer.target(one) for one in records]
  columns = [scorer.example(one) for one in records]
  assert [one.reason for one in rows] == ["empty response", None, "too long"]
  # A long example is cut, and a query is not.
  assert [one.reason for one in columns] == ["empty response", None, None]
  assert len(columns[2].tokens) == scorer.max_example_tokens
  alone = scorer.alone(rows)
  found = scorer.block(rows, columns, alone)
  np.testing.assert_array_equal(np.isfinite(alone), [False, True, False])
  np.testing.assert_array_equal(
    np.isfinite(found), [[False] * 3, [False, True, True], [False] * 3]
  )


def test_an_answer_is_never_cut(llama):
  # "q abc:" has 5 tokens, and 20 are kept for examples.
  answers = {"x" * length: length for length in (14, 15, 16)}
  for answer, length in answers.items():
    scorer = pairs.scorer(llama, max_tokens=40)
    target = scorer.target(Instruction("abc", answer))
    fits = 5 + length + 1 <= 20
    assert (target.reason is None) == fits
    assert len(target.answer) == (length + 1 if fits else 0)


def test_a_query_without_tokens(llama):
  bare = dataclasses.replace(pairs.TEMPLATE, query_alone="{prompt}")
  scorer = pairs.scorer(llama, template=bare)
  assert scorer.target(Instruction(" ", "x")).reason == "empty query"


def test_damaged_weights_give_no_number(llama):
  broken = jax.tree.map(lambda leaf: leaf * np.nan, llama.parameters)
  scorer = pairs.scorer(dataclasses.replace(llama, parameters=broken))
  found = pairs.utilities(scorer, TARGETS[:2], EXAMPLES[:2])
  assert np.isnan(found).all()


class _Larger(asked.Letters):
  size = 65


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"distance": "cosine"}, "'cosine': expected one of"),
    ({"examples_at_once": 0}, "examples_at_once = 0"),
    ({"max_example_tokens": 64}, "fewer than max_tokens"),
    ({"max_example_tokens": 0}, "at least 1"),
    ({"tokenizer": _Larger()}, "name the judge's own vocabulary"),
    (
      {"template": dataclasses.replace(pairs.TEMPLATE, alone="z" * 21)},
      "`alone` has 21 tokens",
    ),
    # Every example would be the same.
    ({"max_example_tokens": 1}, "`example` has 2 tokens"),
  ],
)
def test_settings_that_cannot_be(llama, change, said):
  with pytest.raises(ValueError, match=said):
    pairs.scorer(llama, **change)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"query": "{prompt} {response}"}, "query: {response} cannot stand there"),
    ({"alone": "{prompt}"}, "alone: {prompt} cannot stand there"),
    ({"answer": "yes"}, "answer: expected {response}"),
    ({"example": "{prompt.__class__}"}, "cannot stand there"),
    ({"example": "{prompt!r}"}, "plain"),
    ({"example": "{prompt"}, "write {{ for a brace"),
  ],
)
def test_templates_that_cannot_be(change, said):
  with pytest.raises(ValueError, match=said.replace("{", r"\{")):
    dataclasses.replace(pairs.TEMPLATE, **change)


def test_braces_of_a_record_are_its_own():
  record = Instruction("{response} {0}", "{prompt}")
  template = templates.in_context()
  assert "{response} {0}" in template.fill("query", record)
  assert template.fill("answer", record) == "{prompt}"
