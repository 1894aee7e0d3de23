# SPDX-License-Identifier: Apache-2.0
"""TFDS: scoring sees the texts and the ids that training sees."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_efficient.data import corpora, corpus_index, tfds_corpus

TEXTS = [f"document {i}: größer\n" + "x" * i for i in range(23)]


class TinyText(tfds.core.GeneratorBasedBuilder):
  """A dataset of two splits."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    features = {
      "text": tfds.features.Text(),
      "domain": tfds.features.Text(),
      "label": tfds.features.Scalar(np.int64),
    }
    return tfds.core.DatasetInfo(
      builder=self, features=tfds.features.FeaturesDict(features)
    )

  def _split_generators(self, manager):
    return {"train": self._rows(TEXTS), "test": self._rows(TEXTS[:4])}

  def _generate_examples(self):
    raise NotImplementedError

  def _rows(self, texts):
    for i, text in enumerate(texts):
      yield i, {"text": text, "domain": f"d{i % 5}", "label": i}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  path = tmp_path_factory.mktemp("tfds")
  builder = TinyText(data_dir=str(path))
  config = tfds.download.DownloadConfig(num_shards=4)
  builder.download_and_prepare(download_config=config)
  return path


def _training(prepared, split):
  config = tfds.ReadConfig(add_tfds_id=True)
  dataset = tfds.load(
    "tiny_text",
    split=split,
    data_dir=str(prepared),
    read_config=config,
    shuffle_files=True,
  )
  return {
    example["tfds_id"].decode(): example["text"].decode()
    for example in dataset.as_numpy_iterator()
  }


def _corpus(prepared, **fields):
  fields = {"name": "tiny_text", "split": "train", **fields}
  return tfds_corpus.Tfds(data_dir=str(prepared), **fields)


def _records(corpus):
  return [record for shard in corpus.shards() for record in corpus.read(shard)]


def test_scoring_and_training_see_the_same(prepared, tmp_path):
  corpus = _corpus(prepared)
  assert isinstance(corpus, corpora.Corpus)
  assert len(corpus.shards()) == 4
  records = _records(corpus)
  scored = {record.id: record.text for record in records}
  assert scored == _training(prepared, "train")
  assert len(scored) == 23 and set(scored.values()) == set(TEXTS)
  assert "tiny_text-train.tfrecord-00000-of-00004__2" in scored
  index = corpus_index.build(corpus, tmp_path)
  assert index.records == 23


def test_training_on_a_part_keeps_the_ids(prepared):
  scored = {record.id: record.text for record in _records(_corpus(prepared))}
  part = _training(prepared, "train[10:20]")
  assert len(part) == 10 and part.items() <= scored.items()


def test_start_and_group(prepared):
  corpus = _corpus(prepared, group_feature="domain")
  shard = corpus.shards()[1]
  records = list(corpus.read(shard))
  assert list(corpus.read(shard, 2)) == records[2:]
  assert list(corpus.read(shard, 99)) == []
  assert {record.group for record in records} <= {f"d{i}" for i in range(5)}
  assert records[0].source == "tiny_text"


def test_identity(prepared):
  identity = _corpus(prepared).identity()
  assert identity["dataset"] == "tiny_text/1.0.0"
  assert sum(f["records"] for f in identity["files"].values()) == 23


@pytest.mark.parametrize(
  "fields, message",
  [
    ({"name": "no_such_text"}, "no dataset 'no_such_text'"),
    ({"split": "train[:10]"}, "score the whole split"),
    ({"split": "train+test"}, "there are test, train"),
    ({"text_feature": "body"}, "no text feature 'body'"),
    ({"text_feature": "label"}, "no text feature 'label'"),
  ],
)
def test_errors(prepared, fields, message):
  with pytest.raises(corpora.CorpusError) as error:
    _corpus(prepared, **fields).shards()
  assert message in str(error.value)


def test_truncated_and_shortened_files(prepared, tmp_path):
  shutil.copytree(prepared, tmp_path / "copy")
  corpus = _corpus(tmp_path / "copy")
  first, second = corpus.shards()[:2]
  folder = tmp_path / "copy" / "tiny_text" / "1.0.0"
  data = (folder / first).read_bytes()
  (folder / first).write_bytes(data[:-5])
  with pytest.raises(corpora.CorpusError, match=f"{first}, row"):
    list(corpus.read(first))
  with pytest.raises(corpora.CorpusError, match="no file 'x'"):
    list(corpus.read("x"))
  (folder / second).write_bytes(b"")
  with pytest.raises(corpora.CorpusError, match="0 rows, where"):
    list(corpus.read(second))
