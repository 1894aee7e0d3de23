# SPDX-License-Identifier: Apache-2.0
"""What a task serves is what a selection keeps, whatever the corpus."""

import json

import numpy as np
import pytest
import seqio
import tensorflow as tf

from data_efficient.data import (
  corpora,
  corpus_index,
  file_corpus,
  record_source,
  selections,
  tasks,
  tfds_corpus,
  vocabularies,
)
from data_efficient.models import tokenizers
from tests.data import tfds_corpus_test

prepared = tfds_corpus_test.prepared


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  path = tmp_path_factory.mktemp("files")
  for name, count in (("a", 11), ("b", 7)):
    rows = [{"text": f"{name}{row} word{row} other"} for row in range(count)]
    lines = [json.dumps(row) for row in rows]
    (path / f"{name}.jsonl").write_text("\n".join(lines))
  return file_corpus.Files(pattern=str(path / "*.jsonl"))


@pytest.fixture(scope="module")
def tfds_files(prepared):
  return tfds_corpus.Tfds(
    name="tiny_text", split="train", data_dir=str(prepared)
  )


@pytest.fixture(params=["files", "tfds_files"])
def corpus(request):
  return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
  path = tmp_path_factory.mktemp("vocabulary") / "v.model"
  generator = np.random.default_rng(0)
  letters = list("abcdefghijklmnopqrstuvwxyz")
  texts = [
    " ".join("".join(generator.choice(letters, 4)) for _ in range(40))
    for _ in range(60)
  ]
  vocabularies.train(texts, path, pieces=330)
  return tokenizers.SentencePiece(str(path))


def _selection(corpus, directory, share):
  index = corpus_index.build(corpus, directory / "index")
  generator = np.random.default_rng(1)
  kept = {
    shard: np.flatnonzero(generator.random(count) < share)
    for shard, count in index.shards.items()
  }
  return selections.write(
    directory / "selection",
    identity={"corpus": index.describe()},
    kept={s: (rows, np.ones(len(rows))) for s, rows in kept.items()},
    shards=index.shards,
    summary={},
  )


def _served(dataset):
  return sorted(
    (example["shard"].decode(), int(example["position"]))
    for example in dataset.as_numpy_iterator()
  )


def _all(corpus):
  return sorted(
    (shard, record.position)
    for shard in corpus.shards()
    for record in corpus.read(shard)
  )


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_source_serves_every_record_once_with_its_identity(corpus, shuffle):
  source = record_source.of(corpus, shuffle_records=100)
  dataset = source.get_dataset("train", shuffle=shuffle, seed=0)
  assert _served(dataset) == _all(corpus)
  texts = {
    (shard, record.position): record.text
    for shard in corpus.shards()
    for record in corpus.read(shard)
  }
  for example in dataset.as_numpy_iterator():
    key = example["shard"].decode(), int(example["position"])
    assert example["text"].decode() == texts[key]


def test_hosts_share_the_shards_out(corpus):
  source = record_source.of(corpus, shuffle_records=100)
  assert source.list_shards("train") == corpus.shards()
  served = []
  for host in range(2):
    info = seqio.ShardInfo(index=host, num_shards=2)
    dataset = source.get_dataset("train", shuffle=False, shard_info=info)
    mine = _served(dataset)
    assert mine
    served += mine
  assert sorted(served) == _all(corpus)


def test_the_filter_serves_the_selection(corpus, tmp_path):
  kept = _selection(corpus, tmp_path, 0.5)
  source = record_source.of(corpus, shuffle_records=100)
  dataset = source.get_dataset("train", shuffle=True, seed=3).repeat(2)
  served = _served(tasks._filter(kept)(dataset))
  expected = [
    (shard, int(row)) for shard in kept.shards for row in kept.positions(shard)
  ]
  assert served == sorted(expected * 2)


def _task(corpus, kept, vocabulary, **changes):
  settings = {"inputs": 24, "noise_density": 0.15, "mean_span_length": 3.0}
  return tasks.span_corruption(
    corpus=corpus,
    selection=kept,
    vocabulary=vocabulary,
    **settings | changes,
  )


def test_span_corruption_holds_just_the_kept_text(corpus, vocabulary, tmp_path):
  kept = _selection(corpus, tmp_path, 0.5)
  dataset = seqio.get_dataset(
    _task(corpus, kept, vocabulary),
    {"inputs": 24, "targets": 12},
    seqio.EncDecFeatureConverter(pack=False),
    shuffle=True,
    seed=0,
  )
  ids = []
  for example in dataset.as_numpy_iterator():
    for name in ("encoder_input_tokens", "decoder_target_tokens"):
      ids += example[name].tolist()
  text_ids = sorted(i for i in ids if 1 < i < vocabulary.vocab_size)
  expected = [
    i
    for shard in kept.shards
    for record in corpus.read(shard)
    if kept.mask(shard)[record.position]
    for i in vocabulary.encode(record.text)
  ]
  assert text_ids == sorted(expected)
  assert max(ids) == vocabulary.first_sentinel


def test_an_empty_selection_is_refused(corpus, vocabulary, tmp_path):
  kept = _selection(corpus, tmp_path, 0.0)
  with pytest.raises(corpora.CorpusError, match="keeps no record"):
    _task(corpus, kept, vocabulary)


def test_more_spans_than_sentinels_are_refused(corpus, vocabulary, tmp_path):
  kept = _selection(corpus, tmp_path, 0.5)
  with pytest.raises(ValueError, match="100 sentinels"):
    _task(corpus, kept, vocabulary, inputs=2048)


def test_seqio_and_the_scorers_tokenize_alike(vocabulary):
  ours = tasks.seqio_vocabulary(vocabulary)
  assert ours.vocab_size == vocabulary.size
  for text in ("abcd efgh", "yes", "No way", "ünï\nline"):
    assert ours.encode(text) == vocabulary.encode(text)
    in_graph = ours.encode_tf(tf.constant(text)).numpy().tolist()
    assert in_graph == vocabulary.encode(text)


def test_answers_are_served_as_they_are(vocabulary):
  pairs = [([5, 6, 7], [9]), ([8], [10, 11])]
  name = tasks.answers(examples=lambda: iter(pairs), vocabulary=vocabulary)
  dataset = seqio.get_dataset(
    name,
    {"inputs": 4, "targets": 3},
    seqio.EncDecFeatureConverter(pack=False),
    shuffle=False,
  )
  found = [
    (
      e["encoder_input_tokens"].tolist(),
      e["decoder_target_tokens"].tolist(),
    )
    for e in dataset.as_numpy_iterator()
  ]
  eos = vocabulary.eos_id
  assert found == [([5, 6, 7, 0], [9, eos, 0]), ([8, 0, 0, 0], [10, 11, eos])]
