# SPDX-License-Identifier: Apache-2.0
"""The kept records of a corpus as a seqio source that reads nothing else.

The order is a stateless permutation of `Dataset.range`, another one in every
epoch; only the last step calls Python. So the place in an epoch is a number,
and an iterator of a dataset built anew, restored from a checkpoint, goes on
exactly there. (A dataset that was iterated before has drawn its next epochs'
orders already, as with `Dataset.shuffle`.)
"""

import functools

import numpy as np
import seqio
import tensorflow as tf

from data_efficient.data import kept_records

_BATCH = 64  # records a call of Python
_RECORDS_A_SHARD = 1000
_MAX_SHARDS = 1024
_FEATURES = {
  "text": tf.string,
  "shard": tf.string,
  "position": tf.int64,
  "weight": tf.float32,
}


class IndexSource(seqio.DataSource):
  """Serves `KeptRecords`.

  Its shards are equal shares of the kept records, whatever the corpus's files;
  any number of hosts may share them.

  Args:
    reader: the records.
  """

  def __init__(self, reader: kept_records.KeptRecords):
    # The number of examples stays unsaid: seqio would cache a small source
    # and with it the order of its first epoch.
    super().__init__(splits=("train",), caching_permitted=True)
    self._reader = reader

  @property
  def supports_arbitrary_sharding(self) -> bool:
    """True: a share may be any part of the records."""
    return True

  def list_shards(self, split: str) -> list[str]:
    """Names of the shares; their number is what Beam caches in parallel."""
    del split
    count = -(-len(self._reader) // _RECORDS_A_SHARD)
    count = min(count, _MAX_SHARDS)
    return [f"kept-{number:05d}-of-{count:05d}" for number in range(count)]

  def get_dataset(
    self,
    split: str = "train",
    shuffle: bool = True,
    seed: int | None = None,
    shard_info: seqio.ShardInfo | None = None,
    **unused,
  ) -> tf.data.Dataset:
    """Examples {"text", "shard", "position", "weight"} of one share.

    Args:
      split: there is one.
      shuffle: whether the order is random, another one in every `repeat`.
      seed: of that order.
      shard_info: which share; each share is shuffled by itself.
      **unused: seqio's other settings.
    """
    del split, unused
    index, shares = 0, 1
    if shard_info:
      index, shares = shard_info.index, shard_info.num_shards
    count = len(range(index, len(self._reader), shares))

    def numbers(batch: tf.Tensor, pair: tf.Tensor) -> tf.Tensor:
      places = _places(batch, count)
      if shuffle:
        places = _shuffled(places, count, pair)
      return index + shares * places

    dataset = (
      _pairs(seed)
      .flat_map(lambda pair: _batches().map(lambda b: numbers(b, pair)))
      .map(functools.partial(_examples, self._reader))
      .unbatch()
      .take(count)
    )
    # Reading has no state of its own that a checkpoint would have to hold.
    options = tf.data.Options()
    options.experimental_external_state_policy = (
      tf.data.experimental.ExternalStatePolicy.IGNORE
    )
    return dataset.with_options(options)


# All before `take` is endless. What has come to its end is dropped from the
# state of an iterator, and with it how many orders have been drawn; `take`
# ends an epoch, and nothing waits behind it.
def _batches() -> tf.data.Dataset:
  return tf.data.Dataset.range(tf.int64.max)


def _pairs(seed: int | None) -> tf.data.Dataset:
  """One pair of seeds, another one in every repetition."""
  seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
  return seeds.batch(2, drop_remainder=True)


def _places(batch: tf.Tensor, count: int) -> tf.Tensor:
  """The numbers below `count` of a batch; past the last, the last alone."""
  first = tf.minimum(batch * _BATCH, count - 1)
  return tf.range(first, tf.minimum(first + _BATCH, count))


def _shuffled(places: tf.Tensor, count: int, pair: tf.Tensor) -> tf.Tensor:
  """Where a permutation of the numbers below `count` sends some of them."""
  pair = tf.bitcast(pair, tf.uint64)
  last = tf.constant(count - 1, tf.int64)
  return tf.random.experimental.index_shuffle(places, pair, last)


def _examples(reader: kept_records.KeptRecords, numbers: tf.Tensor):
  def read(wanted: np.ndarray) -> list[np.ndarray]:
    found = reader.__getitems__(wanted.tolist())
    return [
      np.array([record["text"].encode("utf-8") for record in found], object),
      np.array([record["shard"].encode("utf-8") for record in found], object),
      np.array([record["position"] for record in found], np.int64),
      np.array([record["weight"] for record in found], np.float32),
    ]

  columns = tf.numpy_function(read, [numbers], list(_FEATURES.values()))
  return {
    name: tf.ensure_shape(column, [None])
    for name, column in zip(_FEATURES, columns, strict=True)
  }
