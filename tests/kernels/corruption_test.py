# SPDX-License-Identifier: Apache-2.0
"""Span corruption against loops, and against the statistics of T5's."""

import collections

import numpy as np
import pytest

from data_efficient.kernels import corruption

T5 = {"noise_density": 0.15, "mean_span_length": 3.0}
SENTINEL = 1000


def _mask(length, *, seed=0, stream=7, start=0, **settings):
  return corruption.noise_mask(
    length, seed=seed, stream=stream, start=start, **(T5 | settings)
  )


def _spans(mask):
  """Lengths of the runs of True, by a loop."""
  found, before = [], False
  for masked in mask:
    if masked and before:
      found[-1] += 1
    elif masked:
      found.append(1)
    before = masked
  return found


def _slow(tokens, mask):
  """Both sides, token by token."""
  inputs, targets, number = [], [], -1
  for at, (token, masked) in enumerate(zip(tokens, mask, strict=True)):
    if masked and (at == 0 or not mask[at - 1]):
      number += 1
      inputs.append(SENTINEL - number)
      targets.append(SENTINEL - number)
    (targets if masked else inputs).append(token)
  return inputs, targets


def _joined(inputs, targets):
  """The text again: each sentinel's span in its place."""
  spans, current = {}, None
  for token in targets:
    if token > SENTINEL - 100:
      current = spans.setdefault(token, [])
    else:
      current.append(token)
  return [t for token in inputs for t in spans.pop(token, [token])]


@pytest.mark.parametrize("length", [2, 3, 7, 20, 57, 568])
def test_numbers_are_those_of_t5_and_the_text_comes_back(length):
  # random_spans_noise_mask of T5: rounded shares, one span at least.
  masked = min(max(round(length * 0.15), 1), length - 1)
  spans = min(max(round(masked / 3), 1), masked, length - masked)
  tokens = list(range(1, length + 1))
  for stream in range(20):
    mask = _mask(length, stream=stream)
    assert mask.sum() == masked and len(_spans(mask)) == spans
    assert not mask[0] and mask[-1]
    found = corruption.corrupted(tokens, mask, first_sentinel=SENTINEL)
    assert (found.inputs, found.targets) == _slow(tokens, mask)
    assert len(found.inputs) == length - masked + spans
    assert len(found.targets) == masked + spans
    assert _joined(found.inputs, found.targets) == tokens


def test_every_cut_is_equally_likely():
  # 8 tokens, 4 of them in 2 spans: 3 × 3 ways to cut both kinds in two.
  draws = 4500
  found = collections.Counter(
    tuple(_mask(8, stream=n, noise_density=0.5, mean_span_length=2.0).tolist())
    for n in range(draws)
  )
  assert len(found) == 9
  expected = draws / 9
  chi_square = sum((n - expected) ** 2 / expected for n in found.values())
  assert chi_square < 26.1  # 0.999 of 8 degrees of freedom


def _segments(random, items, count):
  """T5's: a shuffled row of first-of-a-segment marks."""
  marks = np.arange(items - 1) < count - 1
  random.shuffle(marks)
  return np.bincount(np.cumsum(np.concatenate([[0], marks])))


def test_each_place_is_masked_as_often_as_by_t5s_own_scheme():
  random, draws, length = np.random.default_rng(0), 3000, 60
  theirs = np.zeros(length)
  for _ in range(draws):
    lengths = np.stack(
      [_segments(random, length - 9, 3), _segments(random, 9, 3)], axis=1
    ).ravel()
    theirs += np.repeat([0, 1] * 3, lengths)
  ours = np.sum([_mask(length, stream=n) for n in range(draws)], axis=0)
  assert ours.sum() == theirs.sum() == 9 * draws
  rate = (ours + theirs) / (2 * draws)
  deviation = np.sqrt(np.maximum(rate * (1 - rate), 1e-6) * 2 / draws)
  off = (ours - theirs) / draws / deviation
  assert np.abs(off).max() < 4.5 and 0.7 < off.std() < 1.3


def test_a_mask_is_a_function_of_seed_stream_and_start():
  first = _mask(200)
  np.testing.assert_array_equal(_mask(200), first)
  for change in ({"seed": 1}, {"stream": 8}, {"start": 1 << 24}):
    assert (_mask(200, **change) != first).any(), change


def test_the_numbers_are_the_training_tasks():
  from data_efficient.data import preprocessors

  for longest in (5, 37, 114, 512):
    lengths = preprocessors.corruption_lengths(longest, **T5)
    masked, spans = corruption.counts(lengths.tokens, **T5)
    assert lengths.inputs == lengths.tokens - masked + spans + 1
    assert lengths.targets == masked + spans + 1
    assert lengths.spans == spans


@pytest.mark.parametrize(
  "change",
  [
    {"length": 1},
    {"noise_density": 0.0},
    {"noise_density": 1.0},
    {"mean_span_length": 0.5},
  ],
)
def test_what_cannot_be_masked_is_refused(change):
  settings = {"length": 9, **T5} | change
  with pytest.raises(ValueError, match="expected at least 2 tokens"):
    corruption.counts(settings.pop("length"), **settings)
