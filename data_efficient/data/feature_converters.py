# SPDX-License-Identifier: Apache-2.0
"""seqio's feature converters with loss weights in float32; rows of decoders.

seqio's `decoder_loss_weights` are an int32 mask of the targets. Here they are
float32, and multiplied by `target_weights` where the task has this feature
beside `targets`. Without it, or where it is 1 everywhere, a step gets the same
numbers of the same type: the same program and the same loss, to the bit.
"""

from collections.abc import Mapping

import seqio
import tensorflow as tf

WEIGHTS = "target_weights"
_LOSS_WEIGHTS = "decoder_loss_weights"
_FLOAT = seqio.FeatureConverter.FeatureSpec(dtype=tf.float32)

Features = Mapping[str, tf.Tensor]


class _Weighted(seqio.FeatureConverter):
  """What the converters below share. Lengths are given as to seqio's own.

  Raises (when called):
    ValueError: a task with weights and pack=True: seqio's ops for packing
      take whole numbers alone.
  """

  def _pack_or_pad(
    self, ds: tf.data.Dataset, packed_lengths: Mapping[str, int]
  ) -> tf.data.Dataset:
    if WEIGHTS not in ds.element_spec:
      return super()._pack_or_pad(ds, packed_lengths)
    if self.pack:
      raise ValueError("loss weights cannot be packed: use pack=False")
    lengths = {**packed_lengths, WEIGHTS: packed_lengths["targets"]}
    return super()._pack_or_pad(ds, lengths)

  def _convert_example(self, features: Features) -> Features:
    converted = super()._convert_example(features)
    weights = tf.cast(converted[_LOSS_WEIGHTS], tf.float32)
    if WEIGHTS in features:
      weights *= features[WEIGHTS]
    return {**converted, _LOSS_WEIGHTS: weights}


class EncDec(_Weighted, seqio.EncDecFeatureConverter):
  """For encoder–decoders: {"inputs", "targets"}, maybe "target_weights"."""

  MODEL_FEATURES = {
    **seqio.EncDecFeatureConverter.MODEL_FEATURES,
    _LOSS_WEIGHTS: _FLOAT,
  }


class LM(_Weighted, seqio.LMFeatureConverter):
  """For decoders alone: {"targets"}, maybe "target_weights"."""

  MODEL_FEATURES = {
    **seqio.LMFeatureConverter.MODEL_FEATURES,
    _LOSS_WEIGHTS: _FLOAT,
  }


class PrefixLM(_Weighted, seqio.PrefixLMFeatureConverter):
  """For decoders alone that read "inputs" first."""

  MODEL_FEATURES = {
    **seqio.PrefixLMFeatureConverter.MODEL_FEATURES,
    _LOSS_WEIGHTS: _FLOAT,
  }

  def _concat_and_add_masks(self, features: Features) -> Features:
    joined = super()._concat_and_add_masks(features)
    if WEIGHTS not in features:
      return joined
    # The mask says whether the inputs count at all.
    ones = tf.ones([tf.size(features["inputs"])], tf.float32)
    return {**joined, WEIGHTS: tf.concat([ones, features[WEIGHTS]], axis=0)}


class Rows(seqio.FeatureConverter):
  """For `decoder.DecoderConfig`: inputs and targets in one row.

  Any id is a token, 0 included, and what is below 0 is padding. There is no
  start: the first token of the inputs is read and never predicted. Inputs and
  targets share a row as long as the longer of their two lengths; the last
  token needs no place in it, since nothing follows it. Only targets have loss
  weights.

  Raises (when read):
    tf.errors.InvalidArgumentError: inputs and targets that do not fit.
  """

  TASK_FEATURES = {
    name: seqio.FeatureConverter.FeatureSpec(dtype=tf.int32)
    for name in ("inputs", "targets")
  }
  MODEL_FEATURES = {
    "decoder_input_tokens": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32),
    "decoder_target_tokens": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32),
    _LOSS_WEIGHTS: _FLOAT,
  }
  PADDING = -1

  def get_model_feature_lengths(
    self, task_feature_lengths: Mapping[str, int]
  ) -> Mapping[str, int]:
    """All features are as long as a row."""
    length = max(task_feature_lengths.values())
    return dict.fromkeys(self.MODEL_FEATURES, length)

  def _convert_features(
    self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]
  ) -> tf.data.Dataset:
    if self.pack:
      raise ValueError("rows of a decoder are not packed: use pack=False")
    length = max(task_feature_lengths.values())

    def convert(features: Features) -> Features:
      row = tf.concat([features["inputs"], features["targets"]], axis=0)
      asked = tf.size(features["inputs"]) - 1
      counted = tf.cast(tf.range(tf.size(row) - 1) >= asked, tf.float32)
      columns = {
        "decoder_input_tokens": (row[:-1], self.PADDING),
        "decoder_target_tokens": (row[1:], 0),
        _LOSS_WEIGHTS: (counted, 0.0),
      }
      missing = length - tf.size(row) + 1
      tf.debugging.assert_non_negative(
        missing, f"inputs and targets do not fit into a row of {length} tokens"
      )
      return {
        name: tf.ensure_shape(
          tf.pad(column, [[0, missing]], constant_values=padding), [length]
        )
        for name, (column, padding) in columns.items()
      }

    return ds.map(convert, num_parallel_calls=tf.data.experimental.AUTOTUNE)
