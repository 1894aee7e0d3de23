# SPDX-License-Identifier: Apache-2.0
"""Rows of token ids (`instruction_rows`) as a seqio source, by their numbers.

An iterator's place is a number: one that is built anew goes on exactly there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

FEATURES = ("inputs", "targets")


class RowSource(seqio.DataSource):
  """Rows by their numbers; a share of them is every n-th.

  Args:
    reader: (shuffle, seed) -> (number, seed) -> row.
    count: rows; None: without end.
  """

  def __init__(self, reader: Callable[..., Any], count: int | None):
    super().__init__(
      splits=("train",),
      caching_permitted=False,
      performs_internal_shuffling=True,
    )
    self._reader, self._count = reader, count

  @property
  def supports_arbitrary_sharding(self) -> bool:
    """True: a share may be any part of the rows."""
    return True

  def list_shards(self, split: str) -> list[str]:
    """One name: shares are of rows, not of files."""
    return [split]

  def get_dataset(
    self,
    split: str = "train",
    shuffle: bool = True,
    seed: int | None = None,
    shard_info: seqio.ShardInfo | None = None,
    **unused,
  ) -> tf.data.Dataset:
    """Examples {"inputs", "targets"}, int32."""
    del split, unused
    seed = 0 if seed is None else seed
    read = self._reader(shuffle, seed)
    index, shares = 0, 1
    if shard_info:
      index, shares = shard_info.index, shard_info.num_shards
    last = tf.int64.max if self._count is None else self._count

    def row(number: np.integer) -> tuple[np.ndarray, ...]:
      return tuple(read(int(number), seed))

    def example(number: tf.Tensor) -> dict[str, tf.Tensor]:
      found = tf.numpy_function(row, [number], [tf.int32, tf.int32])
      return {
        name: tf.ensure_shape(ids, [None])
        for name, ids in zip(FEATURES, found, strict=True)
      }

    numbers = tf.data.Dataset.range(index, last, shares)
    # Reading has no state of its own that a checkpoint would have to hold.
    options = tf.data.Options()
    options.experimental_external_state_policy = (
      tf.data.experimental.ExternalStatePolicy.IGNORE
    )
    return numbers.map(example).with_options(options)
