# SPDX-License-Identifier: Apache-2.0
"""seqio preprocessors: from text to T5's span corruption, weights included.

All of them are TensorFlow ops. Span corruption follows Raffel et al. 2020
(arXiv 1910.10683, Section 3.1.4): a share `noise_density` of the tokens, in
spans of `mean_span_length` on average, is replaced by one sentinel a span in
the inputs; the targets are the sentinels, each followed by its span.
"""

from typing import NamedTuple

import numpy as np
import seqio
import tensorflow as tf

_BATCH = 128  # examples that go through an op together


def identify_by_tfds_id(dataset: tf.data.Dataset, *, text_feature: str):
  """{"text", "shard", "position"} of examples that have a `tfds_id`.

  TFDS writes `NAME-SPLIT.tfrecord-00012-of-01024__123`: file, row.
  """

  def named(example):
    return {"text": example[text_feature], "id": example["tfds_id"]}

  def identified(batch):
    row = tf.strings.regex_replace(batch["id"], r"^.*__", "")
    return {
      "text": batch["text"],
      "shard": tf.strings.regex_replace(batch["id"], r"__\d+$", ""),
      "position": tf.strings.to_number(row, tf.int64),
    }

  # An op on one example costs as much as on many.
  return dataset.map(named).batch(_BATCH).map(identified).unbatch()


@seqio.map_over_dataset
def text_to_targets(example):
  """The text is called "targets"; identity and weight stay beside it."""
  rest = {name: example[name] for name in example if name != "text"}
  return {"targets": example["text"], **rest}


def concatenate_and_split(
  dataset: tf.data.Dataset,
  *,
  length: int,
  weighted: bool,
  documents: int = 128,
):
  """Token ids of `documents` documents at a time, cut into `length` tokens.

  The last piece of each group is shorter; no token is lost. From here on an
  example has no identity.

  Args:
    dataset: {"targets": int token ids [t]}, and where weighted {"weight":
      float32}.
    length: tokens of a piece.
    weighted: whether a token takes its document's weight along, as
      "target_weights" (float32 [length]).
    documents: how many are joined.
  """

  def pieces(tokens: tf.RaggedTensor, weights: tf.Tensor) -> tf.data.Dataset:
    flat = {"targets": tokens.flat_values}
    if weighted:
      flat["target_weights"] = tf.repeat(weights, tokens.row_lengths())
    count = tf.size(tokens.flat_values)
    starts = tf.range(0, count, length)
    limits = tf.minimum(starts + length, count)
    return tf.data.Dataset.from_tensor_slices(
      {
        name: tf.RaggedTensor.from_row_limits(values, limits)
        for name, values in flat.items()
      }
    )

  def columns(example):
    return example["targets"], example["weight"] if weighted else 1.0

  dataset = dataset.map(columns).ragged_batch(documents).flat_map(pieces)
  # A row of a ragged tensor is a tensor; only the type has to say so.
  return dataset.map(
    lambda example: {
      name: tf.ensure_shape(values, [None]) for name, values in example.items()
    }
  )


def drop_single_tokens(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Leaves out pieces of one token: nothing could be masked and kept."""
  return dataset.filter(lambda example: tf.size(example["targets"]) > 1)


@seqio.map_over_dataset(num_seeds=1)
def span_corruption(
  example,
  *,
  seed,
  noise_density: float,
  mean_span_length: float,
  first_sentinel: int,
):
  """{"inputs", "targets"} of a piece of text {"targets"}.

  Where the text has "target_weights", the targets have them too: each sentinel
  and the span that follows it take the mean of that span's tokens.

  Args:
    example: {"targets": int token ids [t]}, t >= 2, and maybe
      {"target_weights": float32 [t]}.
    seed: stateless seed, given by seqio.
    noise_density: share of tokens that is masked, in (0, 1).
    mean_span_length: mean tokens of a masked span, >= 1.
    first_sentinel: id of the first sentinel; the next is one less, and so on.
  """
  tokens = example["targets"]
  noise = noise_mask(
    tf.size(tokens),
    seed=seed,
    noise_density=noise_density,
    mean_span_length=mean_span_length,
  )
  corrupted = {
    "inputs": _with_sentinels(tokens, noise, first_sentinel),
    "targets": _with_sentinels(tokens, ~noise, first_sentinel),
  }
  if "target_weights" in example:
    weights = _span_means(example["target_weights"], noise)
    corrupted["target_weights"] = weights
  return corrupted


@seqio.map_over_dataset
def append_weight_of_eos(example):
  """The end of sequence, appended before, weighs the mean of all targets."""
  weights = example["target_weights"][: tf.size(example["targets"]) - 1]
  mean = tf.reduce_mean(weights, keepdims=True)
  return {**example, "target_weights": tf.concat([weights, mean], axis=0)}


def noise_mask(
  length, *, seed, noise_density: float, mean_span_length: float
) -> tf.Tensor:
  """bool [length]: which tokens are masked; it starts with a kept span.

  Numbers of tokens and spans are fixed by `length`; where the spans begin is
  uniform over all ways to cut both kinds of token into that many pieces.
  """
  length = tf.cast(length, tf.int32)
  masked, spans = _noise_counts(length, noise_density, mean_span_length)
  kept_seed, masked_seed = tf.unstack(
    tf.random.experimental.stateless_split(seed, 2)
  )
  kept_lengths = _random_partition(length - masked, spans, kept_seed)
  masked_lengths = _random_partition(masked, spans, masked_seed)
  lengths = tf.reshape(tf.stack([kept_lengths, masked_lengths], axis=1), [-1])
  alternating = tf.range(2 * spans) % 2 == 1
  return tf.repeat(alternating, lengths)


def _noise_counts(length, noise_density, mean_span_length):
  share = tf.cast(length, tf.float32)
  masked = tf.cast(tf.round(share * noise_density), tf.int32)
  masked = tf.clip_by_value(masked, 1, length - 1)
  spans = tf.round(tf.cast(masked, tf.float32) / mean_span_length)
  spans = tf.maximum(tf.cast(spans, tf.int32), 1)
  # Every span, kept or masked, has one token at least.
  return masked, tf.minimum(spans, tf.minimum(masked, length - masked))


def _random_partition(items, pieces, seed) -> tf.Tensor:
  """int32 [pieces]: positive lengths that add up to `items`."""
  cuts = tf.range(items - 1) < pieces - 1
  cuts = tf.random.experimental.stateless_shuffle(cuts, seed)
  starts = tf.concat([[0], tf.cast(cuts, tf.int32)], 0)
  return tf.math.segment_sum(tf.ones_like(starts), tf.cumsum(starts))


def _with_sentinels(tokens, masked, first_sentinel: int) -> tf.Tensor:
  """Each masked run becomes one sentinel; ids count down from the first."""
  first = _run_starts(masked)
  number = tf.cumsum(tf.cast(first, tokens.dtype)) - 1
  sentinels = tf.cast(first_sentinel, tokens.dtype) - number
  replaced = tf.where(first, sentinels, tokens)
  return tf.boolean_mask(replaced, first | ~masked)


def _span_means(weights, noise) -> tf.Tensor:
  """float32, one for each token of the targets; see `span_corruption`."""
  first = _run_starts(~noise)
  # A kept run and the masked one after it: a sentinel and its span.
  span = tf.cumsum(tf.cast(first, tf.int32)) - 1
  means = tf.math.segment_mean(
    tf.boolean_mask(weights, noise), tf.boolean_mask(span, noise)
  )
  return tf.gather(means, tf.boolean_mask(span, first | noise))


def _run_starts(mask) -> tf.Tensor:
  """bool: where a run of True begins."""
  return mask & ~tf.concat([[False], mask[:-1]], 0)


class CorruptionLengths(NamedTuple):
  """How long text, inputs and targets are, with end-of-sequence; and spans."""

  tokens: int
  inputs: int
  targets: int
  spans: int


def corruption_lengths(
  inputs: int, *, noise_density: float, mean_span_length: float
) -> CorruptionLengths:
  """The longest piece of text whose corrupted inputs fit into `inputs`.

  Raises:
    ValueError: `inputs` is too short for one kept token and one span.
  """
  best = None
  for tokens in range(2, 4 * inputs):
    # float32, as in the graph: both must round the same way.
    share = np.float32(tokens) * np.float32(noise_density)
    masked = min(max(int(np.round(share)), 1), tokens - 1)
    spans = np.float32(masked) / np.float32(mean_span_length)
    spans = min(max(int(np.round(spans)), 1), masked, tokens - masked)
    lengths = CorruptionLengths(
      tokens, tokens - masked + spans + 1, masked + spans + 1, spans
    )
    if lengths.inputs <= inputs:
      best = lengths
  if best is None:
    raise ValueError(f"inputs={inputs} tokens is too short for span corruption")
  return best
