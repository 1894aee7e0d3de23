# SPDX-License-Identifier: Apache-2.0
"""Float loss weights; with weights of one, seqio's own features."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from data_efficient.data import feature_converters

LENGTHS = {"inputs": 6, "targets": 5}
ROWS = [
  {"inputs": [7, 8, 5, 1], "targets": [3, 9, 1]},
  {"inputs": [8, 1], "targets": [4, 6, 2, 9, 1]},
]
WEIGHTS = [[0.5, 2.0, 3.0], [1.0, 4.0, 0.25, 8.0, 7.0]]
OURS = {
  seqio.EncDecFeatureConverter: feature_converters.EncDec,
  seqio.LMFeatureConverter: feature_converters.LM,
  seqio.PrefixLMFeatureConverter: feature_converters.PrefixLM,
}


def _dataset(plain, weights=None):
  names = [name for name in LENGTHS if name in plain.TASK_FEATURES]
  rows = [{name: row[name] for name in names} for row in ROWS]
  signature = {name: tf.TensorSpec((None,), tf.int32) for name in names}
  if weights:
    rows = [
      {**row, "target_weights": some}
      for row, some in zip(rows, weights, strict=True)
    ]
    signature["target_weights"] = tf.TensorSpec((None,), tf.float32)
  return tf.data.Dataset.from_generator(
    lambda: iter(rows), output_signature=signature
  )


def _converted(converter, dataset):
  lengths = {name: LENGTHS[name] for name in converter.TASK_FEATURES}
  found = converter(pack=False)(dataset, lengths)
  return list(found.as_numpy_iterator())


@pytest.mark.parametrize("plain", OURS)
def test_weights_lie_on_their_targets_and_nowhere_else(plain):
  converter = OURS[plain]
  found = _converted(converter, _dataset(plain, WEIGHTS))
  for row, weights, example in zip(ROWS, WEIGHTS, found, strict=True):
    start = len(row["inputs"]) if plain is seqio.PrefixLMFeatureConverter else 0
    loss = example["decoder_loss_weights"]
    expected = np.zeros(len(loss), np.float32)
    expected[start : start + len(weights)] = weights
    assert loss.dtype == np.float32
    np.testing.assert_array_equal(loss, expected)
    tokens = example["decoder_target_tokens"][start:]
    assert tokens[: len(weights)].tolist() == row["targets"]


@pytest.mark.parametrize("plain", OURS)
def test_weights_of_one_or_none_are_seqio_s_mask(plain):
  ones = [[1.0] * len(row["targets"]) for row in ROWS]
  theirs = _converted(plain, _dataset(plain))
  for weights in (ones, None):
    ours = _converted(OURS[plain], _dataset(plain, weights))
    for one, other in zip(ours, theirs, strict=True):
      assert one.keys() == other.keys()
      assert one["decoder_loss_weights"].dtype == np.float32
      for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_longer_weights_are_trimmed_with_their_targets():
  plain = seqio.LMFeatureConverter
  dataset = _dataset(plain, [[1.0] * 3, [2.0] * 5])
  found = OURS[plain](pack=False, apply_length_check=False)(
    dataset, {"targets": 2}
  )
  (_, second) = found.as_numpy_iterator()
  assert second["decoder_loss_weights"].tolist() == [2.0, 2.0]


def test_packed_weights_are_refused():
  plain = seqio.EncDecFeatureConverter
  with pytest.raises(ValueError, match="pack=False"):
    OURS[plain](pack=True)(_dataset(plain, WEIGHTS), LENGTHS)
