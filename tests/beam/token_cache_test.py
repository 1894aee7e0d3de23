# SPDX-License-Identifier: Apache-2.0
"""One cache, made by Beam, serves every selection of its corpus."""

import collections

import numpy as np
import pytest
import seqio

from data_efficient.data import tasks, token_cache
from data_efficient.training import batches
from tests.data import served
from tests.training import fakes

pytest.importorskip(
  "apache_beam", reason="Apache Beam is not installed: run `make beam`"
)
SETTINGS = {"inputs": 24, "noise_density": 0.15, "mean_span_length": 3.0}
LENGTHS = {"inputs": 24, "targets": 12}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
  return served.train_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module", params=["jsonl", "tfrecord"])
def cached(request, vocabulary, tmp_path_factory):
  """(corpus, index, selection of half, directory of the cache)."""
  root = tmp_path_factory.mktemp("cached")
  corpus = served.WRITE[request.param](root / "files")
  parts = served.parts(corpus, root / "parts")
  name = tasks.tokens(corpus=corpus, index=parts[1], vocabulary=vocabulary)
  options = ["--runner=DirectRunner"]
  token_cache.write(name, str(root / "cache"), options=options, shards=3)
  return *parts, str(root / "cache")


def _task(cached, vocabulary, selection=None, *, weighted=False):
  corpus, index, kept, directory = cached
  name = tasks.span_corruption(
    corpus=corpus,
    index=index,
    selection=selection or kept,
    serving="filter",
    vocabulary=vocabulary,
    weighted=weighted,
    cache=directory,
    **SETTINGS,
  )
  return seqio.TaskRegistry.get(name)


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_two_selections_are_served_from_one_cache(
  cached, vocabulary, tmp_path, share
):
  kept = served.select(cached[1], tmp_path / "kept", share)
  task = _task(cached, vocabulary, kept)
  found = served.ids(task, use_cached=True, shuffle=True, seed=0, num_epochs=2)
  expected = served.kept_ids(kept)
  assert collections.Counter(found) == {pair: 2 for pair in expected}


def test_hosts_share_the_cache_out(cached, vocabulary):
  task = _task(cached, vocabulary)
  found = []
  for host in range(2):
    info = seqio.ShardInfo(index=host, num_shards=2)
    found += served.ids(task, use_cached=True, seed=0, shard_info=info)
  assert sorted(found) == served.kept_ids(cached[2])


def test_tokens_and_weights_are_those_of_the_corpus(cached, vocabulary):
  corpus, _, kept, _ = cached
  task = _task(cached, vocabulary, weighted=True)
  rows = served.rows(task, use_cached=True, shuffle=False)
  found = sorted(
    (*served.identity(row), row["targets"].tolist(), float(row["weight"]))
    for row in rows
  )
  assert found == sorted(
    (shard, position, vocabulary.encode(text), weight)
    for shard, position, text, weight in served.expected(corpus, kept)
  )
  assert "text" not in rows[0] and "targets_pretokenized" not in rows[0]


def test_the_engine_reads_the_cache(cached, vocabulary):
  task = _task(cached, vocabulary, weighted=True)
  (name,) = (
    name
    for name in seqio.TaskRegistry.names()
    if seqio.TaskRegistry.get(name) is task
  )
  run = fakes.run(task=name, task_feature_lengths=LENGTHS)
  batch = next(batches.training(run, start=0))
  assert batch["decoder_loss_weights"].dtype == np.float32
  assert batch["decoder_loss_weights"].max() > 1


def test_a_corpus_that_is_not_cached_is_refused(cached, vocabulary, tmp_path):
  with pytest.raises(token_cache.CacheError, match="not cached there"):
    _task((*cached[:3], str(tmp_path)), vocabulary)
  with pytest.raises(ValueError, match="read by the filter, not by 'index'"):
    tasks.span_corruption(
      corpus=cached[0],
      index=cached[1],
      selection=cached[2],
      serving="index",
      vocabulary=vocabulary,
      weighted=False,
      cache=cached[3],
      **SETTINGS,
    )


def test_a_cache_is_written_once(cached, vocabulary):
  corpus, index, _, directory = cached
  name = tasks.tokens(corpus=corpus, index=index, vocabulary=vocabulary)
  # No pipeline is built: these options would be refused.
  token_cache.write(name, directory, options=["--runner=None"], shards=3)
