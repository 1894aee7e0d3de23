# SPDX-License-Identifier: Apache-2.0
"""The ids that the filter serves are the selection's, however it is run."""

import collections

import numpy as np
import pytest
import seqio
import tensorflow as tf

from data_efficient.data import selections, tasks
from tests.data import served

SETTINGS = {"inputs": 24, "noise_density": 0.15, "mean_span_length": 3.0}
LENGTHS = {"inputs": 24, "targets": 12}


def _task(parts, vocabulary, *, weighted=False, serving="filter"):
  corpus, index, kept = parts
  name = tasks.span_corruption(
    corpus=corpus,
    index=index,
    selection=kept,
    serving=serving,
    vocabulary=vocabulary,
    weighted=weighted,
    **SETTINGS,
  )
  return seqio.TaskRegistry.get(name)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("hosts", [1, 2, 3, 5])
def test_hosts_together_serve_the_selection(parts, vocabulary, hosts, shuffle):
  # Three shards: five hosts share the examples out, fewer share the shards.
  # TFDS interleaves its files.
  task = _task(parts, vocabulary)
  found = [
    served.ids(
      task,
      shuffle=shuffle,
      seed=3,
      shard_info=seqio.ShardInfo(index=host, num_shards=hosts),
    )
    for host in range(hosts)
  ]
  assert sorted(sum(found, [])) == served.kept_ids(parts[2])
  assert all(found)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_repeat_serves_the_selection(parts, vocabulary, weighted):
  task = _task(parts, vocabulary, weighted=weighted)
  found = served.ids(task, shuffle=True, seed=1, num_epochs=3)
  expected = served.kept_ids(parts[2])
  assert collections.Counter(found) == {pair: 3 for pair in expected}
  assert found != sorted(found)


def test_interleaved_readers_serve_the_selection(
  corpora_of_all_kinds, vocabulary
):
  parts = corpora_of_all_kinds["tfrecord"]
  found = served.ids(_task(parts, vocabulary), shuffle=True, seed=1)
  shards = [shard for shard, _ in found]
  # TFDS takes blocks of 16 records from each of its files in turn.
  runs = sum(a != b for a, b in zip(shards, shards[1:], strict=False))
  assert runs >= len(set(shards))
  assert sorted(found) == served.kept_ids(parts[2])


def _examples(task):
  build = tf.autograph.experimental.do_not_convert(task.get_dataset)
  dataset = build(sequence_length=LENGTHS, shuffle=True, seed=0)
  return list(dataset.as_numpy_iterator())


def _weighing(parts, directory, weight):
  """The same kept records; `weight` is a function of (shard, positions)."""
  corpus, index, kept = parts
  rows = {shard: kept.positions(shard) for shard in kept.shards}
  other = selections.write(
    directory,
    identity={"corpus": index.describe()},
    kept=[(shard, some, weight(shard, some)) for shard, some in rows.items()],
    shards=index.shards,
    summary=dict,
  )
  return corpus, index, other


@pytest.mark.parametrize("serving", tasks.Serving)
def test_weights_of_one_change_nothing(
  corpora_of_all_kinds, vocabulary, tmp_path, serving
):
  parts = corpora_of_all_kinds["jsonl"]
  ones = _weighing(parts, tmp_path / "ones", lambda _, rows: np.ones(len(rows)))
  plain = _examples(_task(ones, vocabulary, serving=serving))
  found = _examples(_task(ones, vocabulary, serving=serving, weighted=True))
  assert len(found) == len(plain)
  for one, other in zip(found, plain, strict=True):
    for name in ("inputs", "targets"):
      np.testing.assert_array_equal(one[name], other[name])
    assert set(one["target_weights"].tolist()) == {1.0}


@pytest.mark.parametrize("serving", tasks.Serving)
def test_each_record_has_its_own_weight(
  corpora_of_all_kinds, vocabulary, serving
):
  parts = corpora_of_all_kinds["tfrecord"]
  task = _task(parts, vocabulary, weighted=True, serving=serving)
  rows = served.rows(task, shuffle=True, seed=2)
  found = [(*served.identity(row), float(row["weight"])) for row in rows]
  expected = [
    (shard, position, weight)
    for shard, position, _, weight in served.expected(parts[0], parts[2])
  ]
  assert sorted(found) == sorted(expected)


def test_weights_reach_the_targets(corpora_of_all_kinds, vocabulary, tmp_path):
  weight = {"a.jsonl": 1.0, "b.jsonl": 2.0, "c.jsonl": 4.0}
  parts = _weighing(
    corpora_of_all_kinds["jsonl"],
    tmp_path / "weighing",
    lambda shard, rows: np.full(len(rows), weight[shard]),
  )
  task = _task(parts, vocabulary, weighted=True)
  build = tf.autograph.experimental.do_not_convert(task.get_dataset)
  dataset = build(sequence_length=LENGTHS, shuffle=False)
  weights = [row["target_weights"] for row in dataset.as_numpy_iterator()]
  # Shard after shard: most pieces are of one, few of two.
  first, last = weights[0], weights[-1]
  assert set(first.tolist()) == {1.0} and set(last.tolist()) == {4.0}
  values = np.concatenate(weights)
  assert np.mean((values == 1.0) | (values == 4.0)) > 0.7
  assert np.all((values >= 1.0) & (values <= 4.0))
