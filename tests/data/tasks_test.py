# SPDX-License-Identifier: Apache-2.0
"""What a task serves is what a selection keeps, whatever the corpus."""

import itertools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from data_efficient.data import (
  artifacts,
  corpora,
  record_source,
  tasks,
)
from tests.data import fakes, served

LENGTHS = {"inputs": 24, "targets": 12}


@pytest.fixture
def corpus(parts):
  return parts[0]


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


def _task(parts, vocabulary, **changes):
  corpus, index, kept = parts
  settings = {"inputs": 24, "noise_density": 0.15, "mean_span_length": 3.0}
  settings |= {"weighted": False}
  return tasks.span_corruption(
    corpus=corpus,
    index=index,
    selection=kept,
    vocabulary=vocabulary,
    **{"serving": "filter"} | settings | changes,
  )


def _dataset(task, **settings):
  return seqio.get_dataset(
    task,
    LENGTHS,
    seqio.EncDecFeatureConverter(pack=False),
    **{"shuffle": True, "seed": 0} | settings,
  )


@pytest.mark.parametrize("serving", tasks.Serving)
def test_span_corruption_holds_just_the_kept_text(parts, vocabulary, serving):
  corpus, _, kept = parts
  dataset = _dataset(_task(parts, vocabulary, serving=serving))
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


def _same(one, other):
  return one.keys() == other.keys() and all(
    np.array_equal(one[name], other[name]) for name in one
  )


def test_a_task_by_index_restarts_exactly(
  corpora_of_all_kinds, vocabulary, tmp_path
):
  task = _task(corpora_of_all_kinds["jsonl"], vocabulary, serving="index")
  options = tf.data.Options()
  options.deterministic = True

  def batches():
    dataset = _dataset(task, num_epochs=None)
    return iter(dataset.batch(2).with_options(options))

  def numpy(iterator, count):
    return [
      {name: value.numpy() for name, value in batch.items()}
      for batch in itertools.islice(iterator, count)
    ]

  everything = numpy(batches(), 40)
  stopped = batches()
  numpy(stopped, 13)
  path = tf.train.Checkpoint(iterator=stopped).write(str(tmp_path / "state"))
  restored = batches()
  tf.train.Checkpoint(iterator=restored).read(path).assert_consumed()
  rest = numpy(restored, 27)
  assert all(map(_same, rest, everything[13:]))
  assert not all(map(_same, rest, everything))


def test_hosts_share_a_task_by_index_out(corpora_of_all_kinds, vocabulary):
  parts = corpora_of_all_kinds["tfrecord"]
  task = _task(parts, vocabulary, serving="index")

  def tokens(**settings):
    found = _dataset(task, **settings).as_numpy_iterator()
    rows = (row[name] for row in found for name in row if "target_" in name)
    return sum(int((row > 0).sum()) for row in rows)

  hosts = [seqio.ShardInfo(index=host, num_shards=2) for host in (0, 1)]
  shares = [tokens(shard_info=info) for info in hosts]
  assert min(shares) > 0
  # Other pieces, and with them other numbers of sentinels and ends.
  assert sum(shares) == pytest.approx(tokens(), rel=0.3)


def test_the_cheapest_serving(parts):
  assert tasks.cheapest(parts[0]) is tasks.Serving.INDEX
  memory = fakes.Memory({"a": ["one"]})
  assert tasks.cheapest(memory) is tasks.Serving.MEMORY


def test_an_unknown_serving_is_refused(corpora_of_all_kinds, vocabulary):
  with pytest.raises(ValueError, match="'indx' is not a valid Serving"):
    _task(corpora_of_all_kinds["jsonl"], vocabulary, serving="indx")


@pytest.mark.parametrize("serving", tasks.Serving)
def test_an_empty_selection_is_refused(parts, vocabulary, tmp_path, serving):
  corpus, index, _ = parts
  kept = served.select(index, tmp_path / "kept", share=0.0)
  with pytest.raises(corpora.CorpusError, match="keeps no record"):
    _task((corpus, index, kept), vocabulary, serving=serving)


@pytest.mark.parametrize("serving", tasks.Serving)
def test_a_selection_of_another_corpus_is_refused(
  corpora_of_all_kinds, vocabulary, serving
):
  corpus, index, _ = corpora_of_all_kinds["jsonl"]
  *_, other = corpora_of_all_kinds["parquet"]
  with pytest.raises(artifacts.ArtifactError, match="of another corpus"):
    _task((corpus, index, other), vocabulary, serving=serving)


@pytest.mark.parametrize("serving", tasks.Serving)
def test_a_damaged_selection_is_refused(vocabulary, tmp_path, serving):
  parts = served.parts(served.write_jsonl(tmp_path / "files"), tmp_path)
  path = parts[2].directory / "00000.parquet"
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  with pytest.raises(artifacts.ArtifactError, match="00000.*checksum differs"):
    _task(parts, vocabulary, serving=serving)
  path.unlink()
  with pytest.raises(artifacts.ArtifactError, match="00000.*not there"):
    _task(parts, vocabulary, serving=serving)


def test_more_spans_than_sentinels_are_refused(
  corpora_of_all_kinds, vocabulary
):
  with pytest.raises(ValueError, match="100 sentinels"):
    _task(corpora_of_all_kinds["jsonl"], vocabulary, inputs=2048)


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
