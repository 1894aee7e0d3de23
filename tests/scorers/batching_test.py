# SPDX-License-Identifier: Apache-2.0
"""Batches: every sequence once, few shapes, little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_efficient.scorers import batching


def _buckets(**settings):
  settings = {"longest": 64, "step": 16, "batch_tokens": 128} | settings
  return batching.Buckets(**settings)


@given(
  st.lists(st.integers(0, 64), max_size=80),
  st.sampled_from([1, 2, 4]),
)
def test_every_sequence_once_in_one_of_few_shapes(tokens, multiple):
  made = _buckets().batches(tokens, multiple=multiple)
  found = sorted(item for batch in made for item in batch.items)
  assert found == list(range(len(tokens)))
  shapes = {}
  for batch in made:
    assert 0 < len(batch.items) <= batch.rows and batch.rows % multiple == 0
    assert all(tokens[item] <= batch.length for item in batch.items)
    assert shapes.setdefault(batch.length, batch.rows) == batch.rows
  assert set(shapes) <= {16, 32, 48, 64}


@given(st.lists(st.integers(1, 64), min_size=1, max_size=80))
def test_moving_up_never_costs_more_than_batches_of_their_own(tokens):
  buckets = _buckets()
  apart = 0
  for length in {buckets.length(count) for count in tokens}:
    items = sum(buckets.length(count) == length for count in tokens)
    rows = buckets.rows(length)
    apart += -(-items // rows) * rows * length
  made = buckets.batches(tokens)
  together = sum(batch.rows * batch.length for batch in made)
  # A remainder that moves up can begin a batch there, which others then share.
  assert together <= apart + 64


def test_leftovers_move_to_the_next_length():
  made = _buckets().batches([10, 30, 30, 30])
  assert [(b.items, b.rows, b.length) for b in made] == [([0, 1, 2, 3], 4, 32)]


def test_padding_before_or_after():
  sequences = [[1, 2], [3], [4, 5, 6]]
  batch = batching.Batch([2, 0], 3, 4)
  np.testing.assert_array_equal(
    batching.padded(sequences, batch),
    [[4, 5, 6, 0], [1, 2, 0, 0], [0, 0, 0, 0]],
  )
  np.testing.assert_array_equal(
    batching.padded(sequences, batch, left=True, length=3),
    [[4, 5, 6], [0, 1, 2], [0, 0, 0]],
  )


def test_what_makes_no_batch_is_refused():
  with pytest.raises(ValueError, match="a sequence of 65 tokens"):
    _buckets().batches([65])
  with pytest.raises(ValueError, match="at least 1"):
    _buckets(step=0)
