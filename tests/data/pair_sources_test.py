# SPDX-License-Identifier: Apache-2.0
"""Cosines of embeddings become selections: DELIFT(SE), dense and sparse."""

import numpy as np
import pytest
import scipy.sparse

from data_efficient.data import pair_sources, score_set_writer
from data_efficient.selection import objectives
from data_efficient.selection.interface import SelectionError
from tests.data import covering_test
from tests.data.covering_test import COUNT

corpus = covering_test.corpus


def _embedded(directory, description, shards, missing=None):
  rng = np.random.default_rng(len(shards))
  with score_set_writer.ScoreSetWriter(
    directory,
    identity={
      "corpus": description,
      **{"scorer": "encoder", "inputs": 0, "numerics": 0},
    },
    shards=shards,
    part_records=5,
  ) as writer:
    for part in writer.missing_parts():
      rows = np.arange(part.start, part.start + part.records)
      writer.write(
        part,
        fingerprints=rows.astype(np.uint64),
        statuses=[
          "unscorable(empty)" if (part.shard, row) == missing else "scored"
          for row in rows.tolist()
        ],
        columns={
          "score": np.ones(len(rows), np.float32),
          "embedding": rng.normal(size=(len(rows), 4)).astype(np.float16),
        },
      )
    writer.finish()
  return str(directory)


@pytest.fixture
def embeddings(corpus, tmp_path):
  index = corpus.index
  return _embedded(
    tmp_path / "vectors",
    index.describe(),
    index.shards,
    missing=("pool/a.jsonl", 4),
  )


@pytest.fixture
def others(tmp_path):
  return _embedded(tmp_path / "others", {"name": "queries"}, {"q": 5})


def _source(embeddings, beside=None, neighbours=None):
  return pair_sources.Cosines(
    embeddings=embeddings, beside=beside, neighbours=neighbours
  )


def test_cosines_of_the_pool(embeddings, corpus):
  source = _source(embeddings)
  examples = source.examples(corpus)
  # Record 2 repeats an evaluation record, record 4 has no vector.
  places = list(zip(examples.shard, examples.position.tolist(), strict=True))
  assert len(places) == COUNT - 2
  assert not {("pool/a.jsonl", 2), ("pool/a.jsonl", 4)} & set(places)
  dense = source.pairs(objectives.FacilityLocation(), examples).kernel
  np.testing.assert_allclose(dense.values.diagonal(), 1, atol=1e-6)
  np.testing.assert_array_equal(dense.values, dense.values.T)
  near = _source(embeddings, neighbours=3)
  sparse = near.pairs(objectives.FacilityLocation(), examples).kernel
  assert scipy.sparse.issparse(sparse.values) and sparse.values.nnz == 30
  kept = sparse.values.toarray()
  for row, found in zip(dense.values, kept, strict=True):
    largest = np.sort(np.argsort(-row, kind="stable")[:3])
    assert np.flatnonzero(found).tolist() == largest.tolist()
    np.testing.assert_allclose(found[largest], row[largest], atol=1e-6)
  assert source.identity() != near.identity()


@pytest.mark.parametrize(
  "objective",
  [
    objectives.FacilityLocation(),
    objectives.FL1MI(eta=1.0),
    objectives.FL2MI(eta=1.0),
    objectives.FLMI(eta=1.0),
    objectives.FLCG(nu=0.5),
    objectives.GraphCut(penalty=0.5),
    objectives.LogDeterminant(ridge=1.0),
  ],
)
@pytest.mark.parametrize("neighbours", [None, 4])
def test_every_objective_by_embeddings(
  embeddings, others, corpus, tmp_path, objective, neighbours
):
  needs = objective.main[0] == "queries" or objective.beside
  recipe = covering_test._recipe(
    objective,
    "",
    corpus=corpus,
    pairs=_source(embeddings, others if needs else None, neighbours),
  )
  if objective.name in ("graph_cut", "log_determinant"):
    if neighbours or objective.name == "graph_cut":
      # Cosines below 0, or pairs that are not there.
      with pytest.raises(SelectionError, match="sparse|from 0"):
        recipe.select(tmp_path / "kept")
      return
  made = recipe.select(tmp_path / "kept")
  assert made.records == 5 and sum(made.summary["sources"].values()) == 5
  assert made.summary["cover"]["certificate"] > 0.63


def test_what_is_missing_is_said(embeddings, corpus, tmp_path):
  recipe = covering_test._recipe(
    objectives.FL2MI(eta=1.0), "", corpus=corpus, pairs=_source(embeddings)
  )
  with pytest.raises(SelectionError, match="name their embedding set"):
    recipe.select(tmp_path / "kept")
  alone = covering_test._recipe(
    objectives.FacilityLocation(), "", pairs=_source(embeddings)
  )
  with pytest.raises(SelectionError, match="embeddings are of a corpus"):
    alone.select(tmp_path / "kept")
