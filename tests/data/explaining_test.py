# SPDX-License-Identifier: Apache-2.0
"""Each record is told why it was kept or dropped."""

import dataclasses

import numpy as np
import pytest

from data_efficient.cli import select
from data_efficient.data import artifacts, explaining, score_set_writer
from data_efficient.selection import (
  budget,
  quality_coverage,
  quotas,
  random,
)
from tests.data import selecting_test

COUNT = selecting_test.COUNT
recipe = selecting_test.recipe


def _table(directory):
  return artifacts.read_table(directory, "00000.parquet").to_pydict()


def _embeddings(directory, corpus, vectors):
  index = corpus.index
  with score_set_writer.ScoreSetWriter(
    directory,
    identity={"corpus": index.describe(), "scorer": "plane"},
    shards=index.shards,
    part_records=COUNT,
  ) as writer:
    for part in writer.missing_parts():
      there = np.any(vectors, axis=1)
      writer.write(
        part,
        fingerprints=index.shard_column(part.shard, "fingerprint"),
        statuses=["scored" if one else "unscorable(empty)" for one in there],
        columns={"score": np.ones(COUNT), "embedding": vectors},
      )
    writer.finish()
  return str(directory)


def test_ranks_and_reasons_are_those_of_the_ranking(recipe, tmp_path):
  made = recipe.select(tmp_path / "kept")
  found = _table(explaining.write(recipe, tmp_path / "why", None))
  kept = made.positions("web").tolist()
  assert found["position"] == list(range(COUNT))
  assert [row for row in range(COUNT) if found["kept"][row]] == kept
  pool = recipe.corpus.mask(["pool"])["web"]
  scores = selecting_test._column(recipe.scores)
  for row in range(COUNT):
    if not pool[row]:
      assert found["reason"][row] == explaining.OUTSIDE
      assert found["rank"][row] is None is found["priority"][row]
      continue
    assert found["rank"][row] == 1 + np.sum(scores[pool] > scores[row])
    assert found["score"][row] == pytest.approx(scores[row])
    above = found["priority"][row] >= found["threshold"][row]
    reason = explaining.ABOVE if above else explaining.BELOW
    assert found["reason"][row] == reason and above == (row in kept)


def test_records_without_a_score_and_records_of_a_quota(recipe, tmp_path):
  values = selecting_test._column(recipe.scores).copy()
  bounded = dataclasses.replace(
    recipe,
    budget=budget.examples(12),
    quotas=quotas.Quotas(
      label="source", at_least={"a/one": 0.75}, at_most={"b": 0.0}
    ),
  )
  found = _table(explaining.write(bounded, tmp_path / "why", None))
  by_quota = [r for r in range(COUNT) if found["reason"][r] == explaining.QUOTA]
  kept = [row for row in by_quota if found["kept"][row]]
  dropped = [row for row in by_quota if not found["kept"][row]]
  # Kept though others are better; dropped though better than one that is kept.
  assert kept and dropped
  assert {row % 3 for row in kept} == {0} and {row % 3 for row in dropped} == {
    2
  }
  assert max(values[kept]) < min(values[dropped])


def test_a_draw_is_explained_by_its_keys(recipe, tmp_path):
  drawn = dataclasses.replace(recipe, selector=random.Random())
  made = drawn.select(tmp_path / "kept")
  found = _table(explaining.write(drawn, tmp_path / "why", None))
  ranks = [found["rank"][row] for row in made.positions("web")]
  assert sorted(ranks) == list(range(1, made.records + 1))


def test_the_nearest_kept_record_is_named(recipe, tmp_path):
  angles = np.random.default_rng(0).uniform(0, 2 * np.pi, COUNT)
  vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
  vectors[9] = 0
  vectors *= np.random.default_rng(1).uniform(0.5, 2, (COUNT, 1))
  embeddings = _embeddings(
    tmp_path / "plane", recipe.corpus, vectors.astype(np.float32)
  )
  made = recipe.select(tmp_path / "kept")
  kept = [row for row in made.positions("web").tolist() if row != 9]
  found = _table(explaining.write(recipe, tmp_path / "why", embeddings))
  for row in range(COUNT):
    if row == 9:
      assert found["nearest_position"][row] is None
      continue
    others = [other for other in kept if other != row]
    cosine = np.cos(angles[others] - angles[row])
    assert found["nearest_position"][row] == others[int(cosine.argmax())]
    assert found["nearest_cosine"][row] == pytest.approx(cosine.max(), abs=1e-5)
    assert found["nearest_shard"][row] == "web"


def test_the_verb_explains_once_and_says_so(recipe, tmp_path, capsys):
  arguments = {"output": str(tmp_path / "kept"), "explain": str(tmp_path / "w")}
  select.select(recipe=recipe, **arguments)
  assert "why each record was kept" in capsys.readouterr().out
  before = (tmp_path / "w" / "00000.parquet").stat().st_mtime_ns
  select.select(recipe=recipe, **arguments)
  assert (tmp_path / "w" / "00000.parquet").stat().st_mtime_ns == before
  other = dataclasses.replace(recipe, seed=1)
  with pytest.raises(artifacts.ArtifactError, match="seed: found 0"):
    explaining.write(other, tmp_path / "w", None)


def test_the_verb_says_what_quotas_cost(recipe, tmp_path, capsys):
  bounded = dataclasses.replace(
    recipe,
    quotas=quotas.Quotas(label="source", at_least={}, at_most={"b": 0.1}),
  )
  select.select(recipe=bounded, output=str(tmp_path / "kept"))
  shown = capsys.readouterr().out
  assert (
    "quotas: mean score of what is kept" in shown and "without them" in shown
  )
  assert "shares: b 25.0% → 8.3%, a/" in shown


def test_the_verb_says_how_much_is_quality(recipe, tmp_path, capsys):
  ones = selecting_test._scores(
    tmp_path / "ones", recipe.corpus, np.ones(COUNT)
  )
  mixed = dataclasses.replace(
    recipe,
    selector=quality_coverage.QualityCoverage(temperature=0.5),
    other_scores=ones,
  )
  select.select(recipe=mixed, output=str(tmp_path / "kept"))
  assert "temperature 0.5: 100% of the log" in capsys.readouterr().out
  # All tied in both: a draw like any other, and no division by nothing.
  tied = dataclasses.replace(mixed, scores=ones)
  select.select(recipe=tied, output=str(tmp_path / "tied"))
  shown = capsys.readouterr().out
  assert "temperature 0.5: 0% of the log" in shown
  assert "weights max/min 1," in shown and "(100.0%)" in shown
