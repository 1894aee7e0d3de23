# SPDX-License-Identifier: Apache-2.0
"""The filter of a selection, and the weights of what it lets through.

TensorFlow ops alone. A record is looked up by shard and position in a packed
bitmap: an eighth of a byte a record of the corpus. Weights are held for the
kept records only; where a record's weight lies is its rank, the number of kept
records before it, which is a count for each word of the bitmap and the bits set
in one word (Jacobson 1989): another quarter of a byte a record.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_efficient.data import selections

_WORD = 8  # bytes of the bitmap to one count
# Examples that are looked up together: an op on one costs as much as on all.
_BATCH = 128
_ONE_BIT = np.array([1 << bit for bit in range(8)], np.uint8)


class Bitmap(NamedTuple):
  """Which records of a corpus are kept.

  Attributes:
    bits: uint8 bytes, little-endian bit order, one bit a record.
    starts: shard name to the bit of its first record.
    records: shard name to its number of records.
  """

  bits: np.ndarray
  starts: dict[str, int]
  records: dict[str, int]


class KeptWeights(NamedTuple):
  """The weights of the kept records.

  Attributes:
    bitmap: which records are kept.
    values: float32 [kept], in the bitmap's order.
  """

  bitmap: Bitmap
  values: np.ndarray


def bitmap(selection: selections.Selection) -> Bitmap:
  """The kept records of a selection.

  Raises:
    ArtifactError: a part of the selection is missing or damaged.
  """
  packed = selection.bitmap()
  return Bitmap(
    bits=packed.bits,
    starts=dict(packed.offsets),
    records=dict(selection.shards),
  )


def kept_weights(selection: selections.Selection) -> KeptWeights:
  """The kept records of a selection with their weights.

  Raises:
    ArtifactError: a part of the selection is missing or damaged.
  """
  values = [selection.weights(shard) for shard in selection.shards]
  return KeptWeights(bitmap(selection), np.concatenate(values))


def keep_selected(
  dataset: tf.data.Dataset, *, bitmap: Bitmap
) -> tf.data.Dataset:
  """Keeps the examples whose (shard, position) is set in the bitmap.

  Raises (while iterating):
    InvalidArgumentError: a shard or a position that the selection does not
      know: the corpus has changed since it was scored.
  """
  number = _numbering(bitmap)
  bits, one_bit = tf.constant(bitmap.bits, tf.uint8), tf.constant(_ONE_BIT)

  def kept(shards: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    row = number(shards, positions)
    byte = tf.gather(bits, tf.bitwise.right_shift(row, 3))
    return tf.not_equal(byte & tf.gather(one_bit, row & 7), 0)

  def masked(batch):
    mask = kept(batch["shard"], batch["position"])
    return {name: tf.boolean_mask(batch[name], mask) for name in batch}

  if _has_scalars_alone(dataset):
    return dataset.batch(_BATCH).map(masked).unbatch()
  return dataset.filter(
    lambda example: kept(example["shard"][None], example["position"][None])[0]
  )


def add_weights(
  dataset: tf.data.Dataset, *, weights: KeptWeights
) -> tf.data.Dataset:
  """Adds "weight", float32, to examples that are kept.

  Of an example that is not kept the weight would be that of the next one that
  is: filter first.

  Raises (while iterating):
    InvalidArgumentError: see `keep_selected`.
  """
  number = _numbering(weights.bitmap)
  rank = _ranks(weights.bitmap.bits)
  values = tf.constant(weights.values, tf.float32)

  def weigh(shards: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    return tf.gather(values, rank(number(shards, positions)))

  def batched(batch):
    return {**batch, "weight": weigh(batch["shard"], batch["position"])}

  def single(example):
    weight = weigh(example["shard"][None], example["position"][None])
    return {**example, "weight": weight[0]}

  if _has_scalars_alone(dataset):
    return dataset.batch(_BATCH).map(batched).unbatch()
  return dataset.map(single)


def _has_scalars_alone(dataset: tf.data.Dataset) -> bool:
  """Whether examples can be batched: texts can, lists of tokens cannot."""
  return all(spec.shape.rank == 0 for spec in dataset.element_spec.values())


def _numbering(bitmap: Bitmap) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
  """(shards, positions), each [n], to numbers of records, int64 [n]."""
  names = list(bitmap.starts)
  # The shard's number is looked up by name; its range is in two vectors. One
  # more shard, without records, stands for all that are not known.
  numbers = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(
      tf.constant(names, tf.string), tf.range(len(names), dtype=tf.int64)
    ),
    default_value=len(names),
  )
  starts = tf.constant([*(bitmap.starts[name] for name in names), 0], tf.int64)
  records = [*(bitmap.records[name] for name in names), 0]
  records = tf.constant(records, tf.int64)

  def number(shards: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    owners = numbers.lookup(shards)
    wrong = positions >= tf.gather(records, owners)
    what = [tf.boolean_mask(values, wrong) for values in (shards, positions)]
    known = tf.debugging.Assert(
      ~tf.reduce_any(wrong),
      ["the selection does not know shard", what[0], "row", what[1]],
    )
    with tf.control_dependencies([known]):
      return tf.gather(starts, owners) + positions

  return number


def _ranks(bits: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
  """The number of set bits before a bit, int64."""
  padded = np.pad(bits, (0, -len(bits) % _WORD))
  words = padded.view(np.int64)
  counts = np.bitwise_count(padded.view(np.uint64))
  before = np.cumsum(counts, dtype=np.int64) - counts
  words, before = tf.constant(words), tf.constant(before)
  lower = tf.constant((np.uint64(1) << np.arange(64, dtype=np.uint64)) - 1)
  lower = tf.bitcast(lower, tf.int64)

  def rank(row: tf.Tensor) -> tf.Tensor:
    word = tf.bitwise.right_shift(row, 6)
    earlier = tf.gather(words, word) & tf.gather(lower, row & 63)
    inside = tf.raw_ops.PopulationCount(x=earlier)
    return tf.gather(before, word) + tf.cast(inside, tf.int64)

  return rank
