# SPDX-License-Identifier: Apache-2.0
"""The few lengths that pairs are padded to."""

from data_efficient.scorers import pair_tokens


def _lengths(kind, longest):
  buckets = kind(longest=longest, step=32, batch_tokens=4096)
  found = [buckets.length(tokens) for tokens in range(longest + 1)]
  assert all(length >= tokens for tokens, length in enumerate(found))
  assert found == sorted(found)
  return found


def test_lengths_of_targets():
  found = _lengths(pair_tokens.TargetLengths, 1024)
  steps = sorted({length // 32 for length in found})
  assert steps == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
  assert all(
    length <= max(32, 1.5 * tokens + 32) for tokens, length in enumerate(found)
  )


def test_lengths_of_examples():
  for longest, expected in (
    (1024, {64, 256, 1024, 32}),
    (256, {32, 64, 256}),
    (20, {32}),
    (300, {32, 96, 320}),
  ):
    assert set(_lengths(pair_tokens.ExampleLengths, longest)) == expected
