# SPDX-License-Identifier: Apache-2.0
"""Perplexity against one forward pass a text, without padding, in float64."""

import dataclasses

import jax
import numpy as np
import pytest
import xxhash

from data_efficient.kernels import corruption
from data_efficient.models import networks as models
from data_efficient.scorers import objectives, perplexity, runner
from tests.scorers import asked

EOS, SENTINEL = 1, 63


class Letters(asked.Letters):
  """With sentinels."""

  first_sentinel = SENTINEL


class Begun(Letters):
  """Every text begins with two marks."""

  begin_ids = (62, 61)


SPANS = objectives.SpanCorruption(
  noise_density=0.15, mean_span_length=3.0, repeats=1, seed=0
)
PREFIX = objectives.PrefixLm(prefix_share=0.5)
CAUSAL = objectives.CausalLm()
TEXTS = [
  "a text of some length, about nothing much",
  "",
  "ab",
  "another, longer text, which goes on and on and on, so that it is cut",
  "x",
]


@pytest.fixture(scope="module")
def judges():
  return {
    False: asked.judge(),
    True: asked.judge(asked.LANGUAGE_MODEL),
  }


@pytest.fixture
def scorer(judges):
  def make(objective, tokenizer=None, **settings):
    settings = {
      "max_input_tokens": 32,
      "windows": "head",
      "max_windows": 8,
      "length_step": 16,
      "batch_tokens": 96,
      "part_records": 8,
      "judge": judges[objective.decoder_only],
    } | settings
    return perplexity.Perplexity(
      tokenizer=tokenizer or Letters(), objective=objective, **settings
    )

  return make


_logits = jax.jit(models.logits, static_argnames=("network", "dropout"))


def _slow(judge, inputs, targets, given=0):
  """Sum of log-probabilities: one row, softmax in float64."""
  tokens = np.array([targets], np.int32)
  batch = {
    "encoder_input_tokens": np.array([inputs], np.int32),
    "decoder_input_tokens": np.array([[0, *targets[:-1]]], np.int32),
    "decoder_target_tokens": tokens,
  }
  logits = _logits(judge.network, judge.parameters, batch, dropout=None)
  logits = np.asarray(logits[0], np.float64)
  logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
  return sum(logits[at, targets[at]] for at in range(given, len(targets)))


def _masked(text, pieces, *, start=0, seed=0):
  """Inputs and targets of span corruption, span by span."""
  mask = corruption.noise_mask(
    len(pieces),
    noise_density=0.15,
    mean_span_length=3.0,
    seed=seed,
    stream=xxhash.xxh3_64_intdigest(text.encode()),
    start=start,
  )
  inputs, targets, sentinel = [], [], SENTINEL + 1
  for at, piece in enumerate(pieces):
    if mask[at] and (at == 0 or not mask[at - 1]):
      sentinel -= 1
      inputs.append(sentinel)
      targets.append(sentinel)
    (targets if mask[at] else inputs).append(piece)
  return [*inputs, EOS], [*targets, EOS]


def _check(scores, row, total, targets, seen):
  columns = scores.columns
  assert scores.statuses[row] == "scored"
  assert columns["log_likelihood"][row] == pytest.approx(total, abs=1e-4)
  assert columns["score"][row] == pytest.approx(total / targets, abs=1e-5)
  assert columns["target_tokens"][row] == targets
  assert columns["document_tokens"][row] == seen


def test_span_corruption_is_t5s(scorer, judges):
  made = scorer(SPANS)
  # 31 kept tokens and sentinels, and the end.
  assert made.window_tokens == 34
  scores = made.score(TEXTS)
  for row in (0, 2, 3):
    pieces = Letters().encode(TEXTS[row])[:34]
    inputs, targets = _masked(TEXTS[row], pieces)
    assert len(inputs) <= 32
    total = _slow(judges[False], inputs, targets)
    _check(scores, row, total, len(targets), len(pieces))
  assert scores.statuses[1] == "unscorable(empty)"
  assert scores.statuses[4] == "unscorable(too short)"
  assert scores.columns["score"].dtype == np.float32
  assert np.isnan(scores.columns["score"][[1, 4]]).all()
  # Two tokens: one is kept, one is masked.
  assert scores.columns["target_tokens"].tolist()[2] == 3


def test_prefix_lm_predicts_the_rest(scorer, judges):
  made = scorer(PREFIX)
  scores = made.score(TEXTS)
  for row in (2, 3):
    pieces = Letters().encode(TEXTS[row])[: made.window_tokens]
    cut = round(len(pieces) / 2)
    total = _slow(judges[False], [*pieces[:cut], EOS], [*pieces[cut:], EOS])
    _check(scores, row, total, len(pieces) - cut + 1, len(pieces))
  assert scores.statuses[1] == "unscorable(empty)"
  assert scores.statuses[4] == "unscorable(too short)"


@pytest.mark.parametrize("tokenizer", [Letters(), Begun()])
def test_a_causal_language_model_predicts_all(scorer, judges, tokenizer):
  made = scorer(CAUSAL, tokenizer)
  begin = list(tokenizer.begin_ids)
  assert made.window_tokens == 31 - len(begin)
  # The last text fills the window, the one before has one token more.
  full = "y" * made.window_tokens
  texts = [*TEXTS, full + "z", full]
  scores = made.score(texts)
  for row in (2, 4, 5, 6):
    pieces = tokenizer.encode(texts[row])
    end = [EOS] if len(pieces) <= made.window_tokens else []
    pieces = pieces[: made.window_tokens]
    targets = [*begin, *pieces, *end]
    total = _slow(judges[True], [], targets, given=len(begin))
    _check(scores, row, total, len(pieces) + len(end), len(pieces))
  assert scores.statuses[1] == "unscorable(empty)"
  assert scores.columns["target_tokens"][4] == 2  # "x" and the end


@pytest.mark.parametrize("objective", [SPANS, PREFIX, CAUSAL])
def test_a_score_does_not_depend_on_neighbours_order_or_padding(
  scorer, objective
):
  def scores(texts, **settings):
    return scorer(objective, **settings).score(texts).columns["score"]

  together = scores(TEXTS)
  np.testing.assert_allclose(scores(TEXTS[::-1])[::-1], together, atol=1e-5)
  padded = scores(TEXTS, length_step=32, batch_tokens=32)
  np.testing.assert_allclose(padded, together, atol=1e-5)
  for row in (0, 2):
    alone = scores([TEXTS[row]])[0]
    np.testing.assert_allclose(alone, together[row], atol=1e-5)
  again = scores(TEXTS)
  np.testing.assert_array_equal(again, together)


@pytest.mark.parametrize("objective", [SPANS, PREFIX, CAUSAL])
def test_there_is_one_shape_a_length_of_inputs(scorer, objective):
  made = scorer(objective)
  texts = ["abcdefgh"[: 1 + n % 8] * (1 + n // 4) for n in range(48)]
  shapes = {
    tuple(array.shape for array in arrays.values())
    for arrays in made.pack(texts).batches
  }
  assert len(shapes) <= 32 // 16
  read = (
    "decoder_target_tokens" if objective is CAUSAL else ("encoder_input_tokens")
  )
  for arrays in made.pack(texts).batches:
    rows, length = arrays[read].shape
    assert rows * length <= 96 and length % 16 == 0


def test_consecutive_windows_are_merged_by_their_tokens(scorer, judges):
  text = "".join("abcdefghij"[n * n % 10] for n in range(99))
  made = scorer(SPANS, windows="whole")
  pieces, longest = Letters().encode(text), made.window_tokens
  count = -(-len(pieces) // longest)
  assert count > 2
  total = targets = start = 0
  for number in range(count):
    end = (number + 1) * len(pieces) // count
    assert end - start <= longest
    inputs, predicted = _masked(text, pieces[start:end], start=number << 24)
    total += _slow(judges[False], inputs, predicted)
    targets, start = targets + len(predicted), end
  assert start == len(pieces)
  scores = made.score([text, TEXTS[2]])
  _check(scores, 0, total, targets, len(pieces))
  head = scorer(SPANS).score([TEXTS[2]]).columns["score"]
  np.testing.assert_allclose(scores.columns["score"][1], head[0], atol=1e-6)


def test_the_last_window_of_a_language_model_ends_the_text(scorer, judges):
  text = "".join("abcdefghij"[n % 10] for n in range(69))
  pieces = Letters().encode(text)
  scores = scorer(CAUSAL, windows="whole").score([text])
  total = sum(
    _slow(judges[True], [], window)
    for window in (pieces[:23], pieces[23:46], [*pieces[46:], EOS])
  )
  _check(scores, 0, total, 70, 69)
  # Of more windows than allowed the first and the last are read.
  scores = scorer(CAUSAL, windows="whole", max_windows=2).score([text])
  total = sum(
    _slow(judges[True], [], window)
    for window in (pieces[:23], [*pieces[46:], EOS])
  )
  _check(scores, 0, total, 47, 46)


def test_windows_cover_a_text_and_none_is_too_short(scorer):
  made = scorer(PREFIX, windows="whole", max_input_tokens=3, max_windows=99)
  assert made.window_tokens == 5
  scores = made.score(["a" * length for length in range(3, 40)])
  assert scores.columns["document_tokens"].tolist() == list(range(3, 40))
  assert set(scores.statuses) == {"scored"}


def test_repeats_are_the_mean_over_several_masks(scorer, judges):
  text, pieces = TEXTS[0], Letters().encode(TEXTS[0])[:34]
  made = scorer(dataclasses.replace(SPANS, repeats=3))
  examples = [_masked(text, pieces, start=n << 44) for n in range(3)]
  assert len({tuple(inputs) for inputs, _ in examples}) == 3
  total = sum(_slow(judges[False], *example) for example in examples)
  targets = sum(len(targets) for _, targets in examples)
  _check(made.score([text]), 0, total, targets, len(pieces))


def test_repeats_lower_the_variance(scorer):
  def spread(repeats):
    found = [
      scorer(dataclasses.replace(SPANS, repeats=repeats, seed=seed))
      .score(TEXTS[:1])
      .columns["score"][0]
      for seed in range(24)
    ]
    return np.std(found)

  assert spread(8) < 0.6 * spread(1)


def test_masks_are_the_texts_own(scorer):
  def inputs(texts, **changes):
    made = scorer(dataclasses.replace(SPANS, **changes))
    (arrays,) = made.pack(texts).batches
    return arrays["encoder_input_tokens"]

  one, other = "a" * 34, "a" * 33 + "b"
  alone = inputs([one])
  np.testing.assert_array_equal(inputs([other, one])[1], alone[0])
  np.testing.assert_array_equal(inputs([one, one])[1], alone[0])
  assert (inputs([one], seed=1)[0] != alone[0]).any()
  # Another text of the same length has other masks: sentinels stand elsewhere.
  assert ((inputs([other])[0] > 60) != (alone[0] > 60)).any()


def test_what_cannot_be_scored_costs_itself(scorer, judges):
  made = scorer(SPANS)
  texts = ["half \ud800 pair", " \n\u3000", "ab", "\0" * 40, "a" * 100_000]
  scores = made.score(texts)
  assert scores.statuses == [
    *("scored", "unscorable(empty)", "scored", "scored", "scored")
  ]
  assert made.score([]).columns["score"].shape == (0,)
  judge = judges[False]
  broken = dataclasses.replace(
    judge, parameters=jax.tree.map(lambda leaf: leaf * np.nan, judge.parameters)
  )
  scores = scorer(SPANS, judge=broken).score(["text", ""])
  assert scores.statuses == ["unscorable(non-finite)", "unscorable(empty)"]


def test_the_runner_gives_the_same(scorer):
  made = scorer(SPANS)
  asked_for = np.array([True, False, True, True, True])
  (result,) = runner.run(made, [runner.Request("part", TEXTS, asked_for)])
  alone = made.score(TEXTS)
  assert result.scores.statuses[1] == "not_requested"
  np.testing.assert_allclose(
    result.scores.columns["score"][[0, 2, 3]],
    alone.columns["score"][[0, 2, 3]],
    atol=1e-6,
  )


def test_what_does_not_fit_is_refused(scorer, judges):
  with pytest.raises(ValueError, match="causal_lm is not for encoder–dec"):
    scorer(CAUSAL, judge=judges[False])
  with pytest.raises(ValueError, match="prefix_lm is not for decoder-only"):
    scorer(PREFIX, judge=judges[True])
  with pytest.raises(ValueError, match="needs a vocabulary with T5's sentin"):
    scorer(SPANS, asked.Letters())
  with pytest.raises(ValueError, match="there are 100 sentinels"):
    scorer(SPANS, max_input_tokens=4000)
  with pytest.raises(ValueError, match="room for 1 tokens of text"):
    scorer(CAUSAL, max_input_tokens=2)
  with pytest.raises(ValueError, match="max_windows = 0"):
    scorer(SPANS, max_windows=0)
  with pytest.raises(ValueError, match="'tail' is not a valid Windows"):
    scorer(SPANS, windows="tail")
  with pytest.raises(ValueError, match="repeats = 0"):
    dataclasses.replace(SPANS, repeats=0)
  with pytest.raises(ValueError, match="noise_density = 1"):
    dataclasses.replace(SPANS, noise_density=1.0)
  with pytest.raises(ValueError, match="prefix_share = 0"):
    objectives.PrefixLm(prefix_share=0.0)


@pytest.mark.parametrize(
  "change",
  [
    {"windows": "whole"},
    {"max_windows": 3},
    {"max_input_tokens": 24},
    {"batch_tokens": 32},
    {"length_step": 8},
    {"objective": dataclasses.replace(SPANS, seed=1)},
    {"objective": dataclasses.replace(SPANS, repeats=2)},
    {"objective": dataclasses.replace(SPANS, noise_density=0.2)},
    {"objective": PREFIX},
  ],
)
def test_all_that_a_score_depends_on_is_in_its_identity(scorer, change):
  settings = {"objective": SPANS} | change
  assert scorer(**settings).identity() != scorer(SPANS).identity()
