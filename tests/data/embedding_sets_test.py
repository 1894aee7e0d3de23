# SPDX-License-Identifier: Apache-2.0
"""Embedding sets are read as they were written, a file at a time."""

import numpy as np
import pytest

from data_efficient.data import embedding_sets, score_set_writer, score_sets
from data_efficient.data.artifacts import ArtifactError

SHARDS = {"a": 23, "empty": 0, "b": 9}
CORPUS = {"corpus": {"fingerprint": "x"}, "scorer": {"name": "encoder"}}


@pytest.fixture(params=["float32", "float16"])
def written(request, tmp_path):
  """A set of parts of 5 records; every seventh record has no vector."""
  random = np.random.default_rng(0)
  vectors = {
    shard: random.normal(size=(count, 6)).astype(request.param)
    for shard, count in SHARDS.items()
  }
  with score_set_writer.ScoreSetWriter(
    tmp_path, identity=CORPUS, shards=SHARDS, part_records=5
  ) as writer:
    for part in writer.missing_parts():
      rows = np.arange(part.start, part.start + part.records)
      writer.write(
        part,
        fingerprints=rows.astype(np.uint64),
        statuses=[
          "unscorable(empty)" if row % 7 == 6 else "scored" for row in rows
        ],
        columns={
          "score": np.ones(len(rows), np.float32),
          "embedding": vectors[part.shard][rows],
        },
      )
    writer.finish(scorer="encoder")
  for values in vectors.values():
    values[6::7] = np.nan
  return tmp_path, vectors


def test_any_positions_in_any_order(written):
  directory, vectors = written
  found = embedding_sets.EmbeddingSet.open(directory)
  assert found.encoder == {"name": "encoder"}
  assert found.dimensions == 6
  for shard, positions in (
    ("b", np.arange(9)),
    ("a", np.arange(3, 18)),
    ("a", np.array([0, 4, 5, 22])),
    ("a", np.array([], int)),
    ("b", np.array([8])),
  ):
    blocks = [*found.take(shard, positions)]
    assert all(block.dtype == vectors[shard].dtype for block in blocks)
    joined = np.concatenate([np.empty((0, 6)), *blocks])
    np.testing.assert_array_equal(joined, vectors[shard][positions])


def test_what_is_not_there_is_refused(written):
  directory, _ = written
  found = embedding_sets.EmbeddingSet.open(directory)
  with pytest.raises(ArtifactError, match="no record 23 of shard 'a'"):
    list(found.take("a", np.array([23])))
  with pytest.raises(ArtifactError, match="no shard 'c'"):
    list(found.take("c", np.array([0])))


def test_a_file_is_read_once_for_neighbouring_records(written, monkeypatch):
  directory, _ = written
  found = embedding_sets.EmbeddingSet.open(directory)
  reads = []
  original = score_sets.ScoreSet._read
  monkeypatch.setattr(
    score_sets.ScoreSet,
    "_read",
    lambda self, name, columns: (
      reads.append(name) or original(self, name, columns)
    ),
  )
  for start in range(0, 22, 2):
    list(found.take("a", np.array([start, start + 1])))
  assert len(reads) == len(set(reads))
