# SPDX-License-Identifier: Apache-2.0
"""Sizes of corpora: exact where known, by sample elsewhere, never by a pass."""

import numpy as np
import pytest

from data_efficient.data import corpora, score_set_writer
from data_efficient.data.artifacts import ArtifactError
from data_efficient.evaluation import plan_corpus
from data_efficient.scorers import runner, token_counts
from tests.data import fakes
from tests.evaluation import planned
from tests.scorers import asked


class Counting(fakes.Memory):
  """Counts the records that are read."""

  read_records = 0

  def read(self, shard, start=0):
    for record in super().read(shard, start):
      self.read_records += 1
      yield record


def _shards(count, records):
  return {
    f"{number:03d}": planned.texts(records, seed=number)
    for number in range(count)
  }


def _tokens(shards):
  return sum(len(text) for texts in shards.values() for text in texts)


def _size(corpus, directory, index=False, **changes):
  ready = planned.prepared_corpus(None, directory, corpus)
  if index:
    assert ready.index.records
    corpus.read_records = 0
  return planned.sampled(ready, **changes).size()


def test_a_sample_of_an_indexed_corpus_is_no_pass(tmp_path, monkeypatch):
  monkeypatch.setattr(plan_corpus, "_REACH", 64)
  shards = _shards(30, 200)
  corpus = Counting(shards)
  size = _size(corpus, tmp_path, index=True)
  assert size.records == plan_corpus.known(6000)
  assert len(size.texts) == 160
  assert size.shards == 30
  # A read goes up to the last block that is wanted, and at most to the reach.
  assert corpus.read_records <= 10 * 64
  # A letter is a token here, so that characters tell tokens exactly.
  assert size.tokens.value == pytest.approx(_tokens(shards))
  assert size.tokens.low == pytest.approx(size.tokens.high)


def test_a_few_records_are_read_and_counted(tmp_path):
  shards = _shards(2, 40)
  size = _size(Counting(shards), tmp_path, index=True)
  assert size.tokens == plan_corpus.known(_tokens(shards))


def test_without_an_index_shards_tell_of_one_another(tmp_path):
  shards = _shards(20, 50)
  corpus = Counting(shards)
  size = _size(corpus, tmp_path)
  assert corpus.read_records == 8 * 50
  assert size.records.value == 1000
  low, high = size.tokens.low, size.tokens.high
  assert low < _tokens(shards) < high
  assert high - low < _tokens(shards)
  assert not (tmp_path / "index").exists()


def test_a_long_shard_needs_an_index_or_a_count(tmp_path, monkeypatch):
  monkeypatch.setattr(plan_corpus, "_SHARD_REACH", 100)
  corpus = Counting(_shards(3, 300))
  with pytest.raises(corpora.CorpusError, match="RECORDS"):
    _size(corpus, tmp_path)
  size = _size(corpus, tmp_path, records=900)
  assert size.records == plan_corpus.known(900)
  assert corpus.read_records <= 6 * 101


def test_token_counts_are_exact(tmp_path):
  shards = _shards(3, 50)
  corpus = planned.prepared_corpus(shards, tmp_path)
  counter = token_counts.TokenCounts(tokenizer=asked.Letters())
  identity = {
    "corpus": corpus.index.describe(),
    "scorer": counter.identity(),
  }
  with score_set_writer.ScoreSetWriter(
    tmp_path / "counts",
    identity=identity,
    shards=corpus.index.shards,
    part_records=counter.part_records,
    member=0,
  ) as writer:
    for part in writer.missing_parts():
      texts = shards[part.shard]
      request = runner.Request(part, texts, np.ones(len(texts), bool))
      (result,) = runner.run(counter, [request])
      writer.write(
        part,
        fingerprints=corpus.index.shard_column(part.shard, "fingerprint"),
        statuses=result.scores.statuses,
        columns=result.scores.columns,
      )
    writer.finish(scorer=counter.name)
  size = planned.sampled(
    corpus, token_counts=str(tmp_path / "counts"), sample=32
  ).size()
  assert size.tokens == plan_corpus.known(_tokens(shards))
  assert "counts" in size.source
  with pytest.raises(ArtifactError):
    planned.sampled(corpus, token_counts=str(tmp_path / "other")).size()


def test_the_interval_holds_the_truth_as_often_as_it_says():
  """Blocks of neighbours that are alike, drawn again and again."""
  draw = np.random.default_rng(0)
  # Each block has a length of its own: neighbours are alike.
  blocks = draw.lognormal(5.0, 0.5, 400)[:, None] * draw.uniform(
    0.5, 1.5, (400, 16)
  )
  truth, hits, trials = blocks.sum(), 0, 600
  for _ in range(trials):
    drawn = blocks[draw.integers(0, 400, 20)]
    found = plan_corpus.total(
      drawn.sum(axis=1), [16] * 20, plan_corpus.known(400 * 16)
    )
    hits += found.low <= truth <= found.high
  assert 0.91 < hits / trials < 0.98


def test_the_interval_by_hand():
  # r = 3/2; residuals 0.5 and −0.5; s² = 0.5; t(1) = 12.706.
  found = plan_corpus.total([2, 1], [1, 1], plan_corpus.known(10))
  assert found.value == pytest.approx(15)
  assert found.high - 15 == pytest.approx(12.7062 * (0.5 / 2) ** 0.5 * 10)
  assert found.low == 0.0
  # What is not known of the corpus's size is added.
  wide = plan_corpus.total([2, 2], [1, 1], plan_corpus.Estimate(10, 8, 13))
  assert (wide.low, wide.high) == (16, 26)
  assert plan_corpus.total([3], [1], plan_corpus.known(10)).high == np.inf


def test_a_stated_corpus_reads_nothing():
  size = plan_corpus.Stated(records=364, tokens=184_000).size()
  assert size.records.value == 364
  assert size.texts == ()
