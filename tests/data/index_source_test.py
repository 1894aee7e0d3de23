# SPDX-License-Identifier: Apache-2.0
"""The index source: what it serves, in which order, and where it restarts."""

import itertools

import pytest
import seqio
import tensorflow as tf

from data_efficient.data import file_corpus, index_source, kept_records
from tests.data import served


def _source(parts):
  return index_source.IndexSource(kept_records.by_random_access(*parts))


@pytest.fixture(scope="module")
def parts(corpora_of_all_kinds):
  return corpora_of_all_kinds["jsonl"]


@pytest.fixture(scope="module")
def source(parts):
  return _source(parts)


def _rows(dataset):
  return [
    (
      example["shard"].decode(),
      int(example["position"]),
      example["text"].decode(),
      float(example["weight"]),
    )
    for example in dataset.as_numpy_iterator()
  ]


def _served(source, **settings):
  return _rows(source.get_dataset("train", **settings))


@pytest.mark.parametrize("kind", served.KINDS)
def test_serves_the_selection(corpora_of_all_kinds, kind):
  parts = corpora_of_all_kinds[kind]
  expected = served.expected(*parts[::2])
  assert _served(_source(parts), shuffle=False) == expected
  shuffled = _served(_source(parts), shuffle=True, seed=5)
  assert shuffled != expected and sorted(shuffled) == sorted(expected)


def test_the_seed_is_the_order(source):
  orders = [_served(source, seed=seed) for seed in (0, 0, 1)]
  assert orders[0] == orders[1] != orders[2]


def test_every_epoch_has_its_own_order(source, parts):
  kept = parts[2].records
  rows = _rows(source.get_dataset("train", seed=0).repeat(3))
  epochs = [rows[start : start + kept] for start in range(0, 3 * kept, kept)]
  assert len(set(map(tuple, epochs))) == 3
  assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
  assert _rows(source.get_dataset("train", seed=0).repeat(3)) == rows


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("hosts", [1, 3])
def test_hosts_share_the_selection_out(source, parts, hosts, seed):
  shares = [
    _served(
      source,
      seed=seed,
      shard_info=seqio.ShardInfo(index=host, num_shards=hosts),
    )
    for host in range(hosts)
  ]
  sizes = {len(share) for share in shares}
  assert max(sizes) - min(sizes) <= 1
  expected = served.expected(*parts[::2])
  assert sorted(itertools.chain(*shares)) == sorted(expected)


def test_more_hosts_than_records(tmp_path):
  (tmp_path / "two.jsonl").write_text('{"text": "a"}\n{"text": "b"}')
  corpus = file_corpus.Files(pattern=str(tmp_path / "two.jsonl"))
  source = _source(served.parts(corpus, tmp_path, share=1.1))
  shares = [
    _served(source, seed=0, shard_info=seqio.ShardInfo(host, 3))
    for host in range(3)
  ]
  assert sorted(row[2] for share in shares for row in share) == ["a", "b"]


def test_declares_its_shards(source, parts, monkeypatch):
  assert source.supports_arbitrary_sharding
  assert source.list_shards("train") == ["kept-00000-of-00001"]
  monkeypatch.setattr(index_source, "_RECORDS_A_SHARD", 10)
  count = -(-parts[2].records // 10)
  names = [f"kept-{i:05d}-of-{count:05d}" for i in range(count)]
  assert source.list_shards("train") == names


def test_restarts_exactly_anywhere(source, parts, tmp_path, monkeypatch):
  # Batches of several records, so that the cut falls inside one.
  monkeypatch.setattr(index_source, "_BATCH", 8)

  def iterator():
    return iter(source.get_dataset("train", seed=2).repeat(3).prefetch(4))

  def ids(rows):
    return [(row["shard"].numpy(), int(row["position"])) for row in rows]

  everything = ids(iterator())
  kept = parts[2].records
  # What prefetches has read beyond the cut, to the end of an epoch and over it.
  for cut in [1, *range(kept - 10, kept + 3), 2 * kept, 3 * kept - 1]:
    stopped = iterator()
    for _ in range(cut):
      next(stopped)
    path = str(tmp_path / str(cut))
    path = tf.train.Checkpoint(iterator=stopped).write(path)
    restored = iterator()
    tf.train.Checkpoint(iterator=restored).read(path).assert_consumed()
    assert ids(restored) == everything[cut:], cut


def test_a_changed_file_is_named_while_reading(tmp_path):
  corpus = served.write_jsonl(tmp_path / "files")
  source = _source(served.parts(corpus, tmp_path, share=1.1))
  path = tmp_path / "files" / "b.jsonl"
  path.write_bytes(path.read_bytes().replace(b"b6", b"B6"))
  with pytest.raises(tf.errors.OpError, match="b.jsonl, row 6: .*changed"):
    _served(source, shuffle=False)


def test_one_record_is_served(tmp_path):
  (tmp_path / "one.jsonl").write_text('{"text": "alone"}')
  corpus = file_corpus.Files(pattern=str(tmp_path / "one.jsonl"))
  source = _source(served.parts(corpus, tmp_path, share=1.1))
  dataset = source.get_dataset("train", seed=0).repeat(2)
  assert [row[2] for row in _rows(dataset)] == ["alone", "alone"]
