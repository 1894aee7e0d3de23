# SPDX-License-Identifier: Apache-2.0
"""A run of a split is what the whole split has there, bit for bit."""

import json

import numpy as np
import pytest

from data_efficient.cli import reading, scope, vector_reading
from data_efficient.data import (
  file_corpus,
  prepared,
  selections,
  splits,
)
from data_efficient.scorers import interface

SHARDS = {"a.jsonl": 11, "b.jsonl": 0, "c.jsonl": 7, "d.jsonl": 1}
KEPT = {
  "a.jsonl": [0, 3, 4, 9],
  "b.jsonl": [],
  "c.jsonl": [2, 6],
  "d.jsonl": [0],
}
# Not followed: the pool is given.
POLICY = splits.Policy(
  evaluation_share=0.1,
  reference_share=0.1,
  pool_share_of_reference=0.5,
  hq_records=1,
  in_distribution_records=1,
  reference_records=1,
  seed=0,
  reference_sources=(),
  hq_sources=(),
  usual_sources=(),
)
RUNS = [(0, None), (0, 7), (2, 5), (3, None), (4, 5), (6, 9), (5, 5)]


class Norms:
  """Vectors that depend on the whole batch, as a padded network's might."""

  name, reads, part_records = "norms", interface.Reads.TEXT, 4

  def identity(self):
    return {}

  def prepare(self, read):
    """Nothing to prepare."""

  def score(self, batch):
    total = sum(map(len, batch))
    rows = [[len(text), total, ord(text[0])] for text in batch]
    found = np.array(rows, np.float32).reshape(-1, 3)
    columns = {"embedding": found, "score": found[:, 0]}
    return interface.Scores([interface.SCORED] * len(batch), columns)


@pytest.fixture(params=["whole", "split"])
def scoped(request, tmp_path, monkeypatch):
  """(a prepared corpus, a scope of it, texts of its pool)."""
  monkeypatch.setattr(scope, "BLOCK", 2)
  rows = {
    shard: [f"{shard}{row}" * (1 + row % 3) for row in range(count)]
    for shard, count in SHARDS.items()
  }
  for shard, found in rows.items():
    lines = "".join(json.dumps({"text": text}) + "\n" for text in found)
    (tmp_path / shard).write_text(lines)
  corpus = file_corpus.Files(pattern=f"{tmp_path}/*.jsonl")
  made = prepared.Prepared(corpus, str(tmp_path / "prepared"), POLICY)
  if request.param == "whole":
    found = scope.of(made, None, None)
    return made, found, [text for found in rows.values() for text in found]
  kept = selections.write(
    tmp_path / "pool",
    identity={"corpus": made.index.describe()},
    kept=[(s, np.array(p, int), np.ones(len(p))) for s, p in KEPT.items()],
    shards=SHARDS,
    summary=lambda: {},
  )
  pool = splits.Split(corpus, kept)
  vars(made)["splits"] = splits.Splits(pool, pool, pool, pool)
  texts = [rows[shard][at] for shard, found in KEPT.items() for at in found]
  return made, scope.of(made, ["pool"], None), texts


@pytest.mark.parametrize("start, stop", RUNS)
def test_texts_of_a_run(scoped, start, stop):
  made, found, texts = scoped
  assert list(found.texts("pool", start, stop)) == texts[start:stop]
  reader = reading._Texts(made, found)
  blocks = [*reader.stream("pool", start, stop)]
  assert [text for block in blocks for text in block] == texts[start:stop]


@pytest.mark.parametrize("start, stop", RUNS)
def test_vectors_of_a_run(scoped, start, stop):
  made, found, _ = scoped
  texts = reading._Texts(made, found)
  anew = vector_reading.Recomputed(texts, Norms())
  numbered = vector_reading.Numbered(made, found, anew)
  whole = np.concatenate([*numbered.stream("pool")])
  run = np.concatenate([whole[:0], *numbered.stream("pool", start, stop)])
  assert run.tobytes() == whole[start:stop].tobytes()


def test_masks_are_by_shard(scoped):
  _, found, texts = scoped
  masks = {shard: found.mask(shard) for shard in SHARDS}
  assert {s: len(mask) for s, mask in masks.items()} == SHARDS
  assert sum(mask.sum() for mask in masks.values()) == len(texts)
