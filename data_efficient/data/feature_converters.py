# SPDX-License-Identifier: Apache-2.0
"""seqio's feature converters with loss weights in float32.

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
