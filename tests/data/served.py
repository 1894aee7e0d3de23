# SPDX-License-Identifier: Apache-2.0
"""Corpora whose single records can be read, their indexes and selections."""

import functools
import json
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf
import tensorflow_datasets as tfds

from data_efficient.data import (
  corpus_index,
  file_corpus,
  preprocessors,
  selections,
  tfds_corpus,
  vocabularies,
)
from data_efficient.models import tokenizers
from tests.data import tfds_corpus_test

COUNTS = {"a": 41, "b": 7, "c": 23}
KINDS = ("jsonl", "parquet", "tfrecord", "array_record")


def texts(name):
  """Unequal texts of unequal lengths, one with every awkward character."""
  return [
    f"{name}{row} größer\u2028\n" + "wort " * (row % 9)
    for row in range(COUNTS[name])
  ]


def write_jsonl(directory, mark=b""):
  directory.mkdir(parents=True)
  for name in COUNTS:
    rows = [
      json.dumps({"text": text}, ensure_ascii=row % 2 == 0)
      for row, text in enumerate(texts(name))
    ]
    end = "\n" if name == "a" else ""
    data = "\n".join(rows).encode() + end.encode()
    (directory / f"{name}.jsonl").write_bytes(mark + data)
  return file_corpus.Files(pattern=str(directory / "*.jsonl"))


def write_parquet(directory):
  directory.mkdir(parents=True)
  for name in COUNTS:
    pyarrow.parquet.write_table(
      pa.table({"text": texts(name)}),
      directory / f"{name}.parquet",
      row_group_size=5,
    )
  return file_corpus.Files(pattern=str(directory / "*.parquet"))


def write_tfds(directory, file_format):
  builder = tfds_corpus_test.TinyText(
    data_dir=str(directory), file_format=file_format
  )
  config = tfds.download.DownloadConfig(num_shards=3)
  builder.download_and_prepare(download_config=config)
  return tfds_corpus.Tfds(
    name="tiny_text", split="train", data_dir=str(directory)
  )


WRITE = {
  "jsonl": write_jsonl,
  "parquet": write_parquet,
  "tfrecord": functools.partial(write_tfds, file_format="tfrecord"),
  "array_record": functools.partial(write_tfds, file_format="array_record"),
}


def select(index, directory, share):
  """A random share of each shard, with weights that tell records apart."""
  generator = np.random.default_rng(1)
  kept = {
    shard: np.flatnonzero(generator.random(count) < share)
    for shard, count in index.shards.items()
  }
  return selections.write(
    directory,
    identity={"corpus": index.describe()},
    kept=[(shard, rows, 1 + rows / 64) for shard, rows in kept.items()],
    shards=index.shards,
    summary=dict,
  )


def parts(corpus, directory, share=0.5):
  """(corpus, index, selection), as `tasks` and `kept_records` take them."""
  index = corpus_index.build(corpus, directory / "index")
  return corpus, index, select(index, directory / f"kept{share}", share)


def expected(corpus, selection):
  """What must be served, by the slow way: [(shard, position, text, weight)]."""
  rows = []
  for shard in selection.shards:
    weights = dict(
      zip(
        selection.positions(shard).tolist(),
        selection.weights(shard).tolist(),
        strict=True,
      )
    )
    rows += [
      (shard, record.position, record.text, weights[record.position])
      for record in corpus.read(shard)
      if record.position in weights
    ]
  return rows


def train_vocabulary(directory):
  """A small one of random words."""
  generator = np.random.default_rng(0)
  letters = list("abcdefghijklmnopqrstuvwxyz")
  texts = [
    " ".join("".join(generator.choice(letters, 4)) for _ in range(40))
    for _ in range(60)
  ]
  path = directory / "v.model"
  vocabularies.train(texts, path, pieces=330)
  return tokenizers.SentencePiece(str(path))


def kept_ids(selection):
  """[(shard, position)] of the kept records, sorted."""
  return sorted(
    (shard, int(row))
    for shard in selection.shards
    for row in selection.positions(shard)
  )


def rows(task, **settings):
  """What a task serves before it forgets which record is which."""
  steps = list(task.preprocessors)
  names = [getattr(step, "func", step) for step in steps]
  end = names.index(preprocessors.concatenate_and_split)
  with mock.patch.object(task, "preprocessors", steps[:end]):
    with mock.patch.object(task, "_output_features", _targets(task)):
      # AutoGraph would take longer than all the rest.
      build = tf.autograph.experimental.do_not_convert(task.get_dataset)
      dataset = build(**settings)
  return list(dataset.as_numpy_iterator())


def _targets(task):
  return {"targets": task.output_features["targets"]}


def identity(row):
  """(shard, position)."""
  return row["shard"].decode(), int(row["position"])


def ids(task, **settings):
  """[(shard, position)] that a task serves, in its order."""
  return [identity(row) for row in rows(task, **settings)]
