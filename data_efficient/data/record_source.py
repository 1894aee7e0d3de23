# SPDX-License-Identifier: Apache-2.0
"""A whole corpus as a seqio data source whose examples keep their identity.

Every example carries `shard` and `position` beside `text`, so that the first
preprocessor of a task can look it up in a selection.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from data_efficient.data import corpora, preprocessors, tfds_corpus

# Records a call of Python: a call for each costs several times its reading.
_BATCH = 128
_SIGNATURE = {
  "text": tf.TensorSpec((None,), tf.string),
  "shard": tf.TensorSpec((None,), tf.string),
  "position": tf.TensorSpec((None,), tf.int64),
}


def of(corpus: corpora.Corpus, *, shuffle_records: int) -> seqio.DataSource:
  """The source that reads a corpus of any kind."""
  if isinstance(corpus, tfds_corpus.Tfds) and not corpus.has_array_records:
    return TfdsSource(corpus)
  return RecordSource(corpus, shuffle_records=shuffle_records)


class _CorpusSource(seqio.DataSource):
  """What the sources of all corpora share: one split, a corpus's shards."""

  def __init__(self, corpus: corpora.Corpus):
    super().__init__(splits=("train",), caching_permitted=True)
    self._corpus = corpus

  @property
  def supports_arbitrary_sharding(self) -> bool:
    """False: a shard is the smallest piece that a host can own."""
    return False

  def list_shards(self, split: str) -> list[str]:
    """Names of the corpus's shards."""
    del split
    return list(self._corpus.shards())


class RecordSource(_CorpusSource):
  """Reads a corpus shard by shard.

  Shuffling is over the whole corpus, up to `shuffle_records` records at once:
  a short run on a corpus whose shards are its domains must not see one
  domain only.
  """

  def __init__(self, corpus: corpora.Corpus, *, shuffle_records: int):
    """Reads `corpus`; `shuffle_records` bounds the shuffle's memory."""
    super().__init__(corpus)
    self._shuffle_records = shuffle_records

  def get_dataset(
    self,
    split: str = "train",
    shuffle: bool = True,
    seed: int | None = None,
    shard_info: seqio.ShardInfo | None = None,
    **unused,
  ) -> tf.data.Dataset:
    """Examples {"text", "shard", "position"} of the shards of `shard_info`."""
    del unused
    shards = self.list_shards(split)
    if shard_info:
      shards = shards[shard_info.index :: shard_info.num_shards]

    def examples():
      for shard in shards:
        yield from _batches(self._corpus, shard)

    dataset = tf.data.Dataset.from_generator(
      examples, output_signature=_SIGNATURE
    ).unbatch()
    if shuffle:
      dataset = dataset.shuffle(self._shuffle_records, seed=seed)
    return dataset


def _batches(
  corpus: corpora.Corpus, shard: str
) -> Iterator[dict[str, np.ndarray]]:
  records = corpus.read(shard)
  while found := list(itertools.islice(records, _BATCH)):
    yield {
      "text": np.array([row.text.encode("utf-8") for row in found], object),
      "shard": np.array([shard.encode("utf-8")] * len(found), object),
      "position": np.array([row.position for row in found], np.int64),
    }


class TfdsSource(_CorpusSource):
  """Reads a TFDS dataset by TFDS itself, with the ids of its records.

  seqio's own TFDS source has no way to ask for `tfds_id`.
  """

  def get_dataset(
    self,
    split: str = "train",
    shuffle: bool = True,
    seed: int | None = None,
    shard_info: seqio.ShardInfo | None = None,
    **unused: Any,
  ) -> tf.data.Dataset:
    """Examples {"text", "shard", "position"} of the files of `shard_info`."""
    del split, unused
    reading = tfds.ReadConfig(
      add_tfds_id=True, shuffle_seed=seed, skip_prefetch=True
    )
    if shard_info:
      reading.input_context = tf.distribute.InputContext(
        num_input_pipelines=shard_info.num_shards,
        input_pipeline_id=shard_info.index,
      )
    dataset = self._corpus.builder.as_dataset(
      split=self._corpus.split, shuffle_files=shuffle, read_config=reading
    )
    return preprocessors.identify_by_tfds_id(
      dataset, text_feature=self._corpus.text_feature
    )
