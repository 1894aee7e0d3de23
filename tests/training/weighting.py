# SPDX-License-Identifier: Apache-2.0
"""A registered task with weights beside its targets."""

import seqio
import tensorflow as tf

from data_efficient.data.feature_converters import WEIGHTS


def task(name: str, of: str, weigh) -> str:
  """Registers the task `of` with target_weights = weigh(targets), float32."""
  plain = seqio.TaskRegistry.get(of)

  @seqio.map_over_dataset
  def add(example):
    return {**example, WEIGHTS: weigh(example["targets"])}

  if name not in seqio.TaskRegistry.names():
    weights = seqio.Feature(
      seqio.PassThroughVocabulary(size=0), add_eos=False, dtype=tf.float32
    )
    seqio.TaskRegistry.add(
      name,
      source=plain.source,
      preprocessors=[*plain.preprocessors, add],
      output_features={**plain.output_features, WEIGHTS: weights},
    )
  return name


def ones(targets):
  """All tokens count alike."""
  return tf.ones([tf.size(targets)], tf.float32)


def growing(targets):
  """Later tokens count more: 0.5, 1, 1.5, …"""
  return (tf.range(tf.size(targets), dtype=tf.float32) + 1) / 2
