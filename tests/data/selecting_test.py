# SPDX-License-Identifier: Apache-2.0
"""A selection is made once, by the first who asks, and read by the rest."""

import concurrent.futures
import dataclasses
import time

import numpy as np
import pytest

from data_efficient.data import (
  artifacts,
  prepared,
  score_set_writer,
  score_sets,
  selecting,
  selections,
)
from data_efficient.selection import (
  budget,
  full,
  inverse_propensity,
  quality_coverage,
  quotas,
  random,
  top,
)
from data_efficient.selection.interface import SelectionError
from data_efficient.training import pretraining
from tests.data import fakes, splits_test

COUNT = 60


@dataclasses.dataclass(frozen=True)
class SlowTop:
  """Top, slowly; says how often it was asked."""

  calls: list
  name: str = "top"

  def priorities(self, shard, *, seed):
    self.calls.append(seed)
    time.sleep(0.1)
    return top.Top(highest=True).priorities(shard, seed=seed)

  def log_weights(self, shard):
    return None


def _scores(directory, corpus, values):
  index = corpus.index
  with score_set_writer.ScoreSetWriter(
    directory,
    identity={
      "corpus": index.describe(),
      **{"scorer": str(directory.name), "inputs": 0, "numerics": 0},
    },
    shards=index.shards,
    part_records=COUNT,
  ) as writer:
    for part in writer.missing_parts():
      rows = slice(part.start, part.start + part.records)
      writer.write(
        part,
        fingerprints=index.shard_column(part.shard, "fingerprint")[rows],
        statuses=["scored"] * part.records,
        columns={"score": values[rows].astype(np.float32)},
      )
    writer.finish()
  return str(directory)


@pytest.fixture
def recipe(tmp_path):
  texts = splits_test._texts(1, COUNT + 30)
  sources = ["a/one", "a/two", "b"]
  # What repeats an evaluation record is of the corpus, but not of its pool.
  texts[2:5] = ["z" * 50] * 3
  corpus = prepared.Prepared(
    corpus=fakes.Memory(
      {"web": [(t, sources[i % 3], "") for i, t in enumerate(texts[:COUNT])]}
    ),
    directory=str(tmp_path / "prepared"),
    policy=splits_test.PLAIN,
    hq_corpus=fakes.Memory({"books": texts[COUNT:]}, name="books"),
    in_distribution_corpus=fakes.Memory({"own": ["z" * 50] * 9}, name="own"),
  )
  assert corpus.mask(["pool"])["web"].sum() == COUNT - 3
  values = np.random.default_rng(0).random(COUNT) + 0.01
  values[2] = 2.0  # the best, if it could be kept
  return selecting.Recipe(
    corpus=corpus,
    sampler="best",
    selector=top.Top(highest=True),
    budget=budget.fraction_of_tokens(0.2),
    weights="none",
    token_counts=_scores(tmp_path / "tokens", corpus, np.full(COUNT, 10.0)),
    seed=0,
    scores=_scores(tmp_path / "scores", corpus, values),
  )


def _changed(recipe, **changes):
  return dataclasses.replace(recipe, **changes)


def test_the_best_of_the_pool_are_kept(recipe, tmp_path):
  made = recipe.select(tmp_path / "kept")
  pool = np.flatnonzero(recipe.corpus.mask(["pool"])["web"])
  values = score_sets.ScoreSet.open(recipe.scores).read(["score"])["score"]
  ranked = pool[np.argsort(-values["web"][pool])]
  count = int(np.ceil(0.2 * len(pool)))
  assert made.positions("web").tolist() == sorted(ranked[:count].tolist())
  assert made.weights("web").tolist() == [1.0] * count
  assert made.summary["kept_token_fraction"] >= 0.2
  assert made.identity["budget"]["amount"] == 0.2


def test_the_first_selects_and_the_others_wait_and_read(recipe, tmp_path):
  calls = []
  slow = _changed(recipe, selector=SlowTop(calls))
  slow.select(tmp_path / "alone")
  once = len(calls)
  slow.identity  # noqa: B018 (made once; what races is the selection)
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    asked = [
      pool.submit(
        selecting.selected, recipe=slow, directory=str(tmp_path / "s")
      )
      for _ in range(4)
    ]
    found = {future.result() for future in asked}
  assert len(calls) == 2 * once and len(found) == 1
  (path,) = found
  assert selections.Selection.open(path).records
  assert selecting.selected(recipe=slow, directory=str(tmp_path / "s")) == path
  assert len(calls) == 2 * once


def test_another_configuration_has_another_directory(recipe, tmp_path):
  recipes = [
    recipe,
    _changed(recipe, budget=budget.fraction_of_tokens(0.3)),
    _changed(recipe, budget=budget.examples(7)),
    _changed(recipe, seed=1),
    _changed(recipe, weights="importance"),
    _changed(recipe, sampler="all", selector=full.Full(), scores=None),
    _changed(recipe, selector=full.Full(), scores=None),
  ]
  paths = [
    selecting.selected(recipe=some, directory=str(tmp_path)) for some in recipes
  ]
  assert len(set(paths)) == len(paths)
  assert "best-0.2-0-" in paths[0]
  assert selections.Selection.open(paths[2]).records == 7


def test_a_named_directory_refuses_another_configuration(recipe, tmp_path):
  recipe.select(tmp_path / "kept")
  with pytest.raises(artifacts.ArtifactError) as error:
    _changed(recipe, budget=budget.fraction_of_tokens(0.3)).select(
      tmp_path / "kept"
    )
  assert "budget.amount: found 0.2, expected 0.3" in str(error.value)


def test_what_cannot_be_selected_leaves_room_for_what_can(recipe, tmp_path):
  impossible = _changed(recipe, budget=budget.examples(10_000))
  with pytest.raises(SelectionError, match="asks for 10000 records"):
    impossible.select(tmp_path / "kept")
  assert recipe.select(tmp_path / "kept").records


def test_a_lost_part_is_made_again(recipe, tmp_path):
  before = recipe.select(tmp_path / "kept").positions("web").tolist()
  (tmp_path / "kept" / "00000.parquet").unlink()
  assert recipe.select(tmp_path / "kept").positions("web").tolist() == before


def test_importance_weights_are_kept_beside_the_positions(recipe, tmp_path):
  weighted = _changed(
    recipe,
    selector=inverse_propensity.InversePropensity(),
    weights="importance",
  )
  made = weighted.select(tmp_path / "kept")
  weights = made.weights("web")
  assert weights.mean() == pytest.approx(1) and weights.std() > 0.1
  log_weights = -np.log(
    score_sets.ScoreSet.open(recipe.scores).read(["score"])["score"]["web"]
  )[recipe.corpus.mask(["pool"])["web"]]
  sizes = np.exp(log_weights)
  assert made.summary["weight_ratio"] == pytest.approx(
    sizes.max() / sizes.min(), rel=1e-5
  )
  assert made.summary["effective_sample_size"] == pytest.approx(
    sizes.sum() ** 2 / (sizes**2).sum(), rel=1e-5
  )
  plain = _changed(weighted, weights="none").select(tmp_path / "plain")
  assert plain.positions("web").tolist() == made.positions(
    "web"
  ).tolist() and set(plain.weights("web").tolist()) == {1.0}


def test_the_summary_counts_the_pool(recipe, tmp_path):
  made = _changed(recipe, budget=budget.examples(7)).select(tmp_path / "kept")
  pool = recipe.corpus.mask(["pool"])["web"]
  values = score_sets.ScoreSet.open(recipe.scores).read(["score"])["score"]
  kept = np.sort(values["web"][pool])[::-1][:7]
  assert made.summary["threshold"] == pytest.approx(kept[-1])
  sources = made.summary.pop("sources")
  assert sum(sources.values()) == 7
  del made.summary["threshold"]
  assert made.summary == {
    "records": pool.sum(),
    "scorable_records": pool.sum(),
    "kept_records": 7,
    "kept_fraction": 7 / pool.sum(),
    "tokens": 10 * pool.sum(),
    "kept_tokens": 70,
    "kept_token_fraction": 7 / pool.sum(),
  }


@pytest.mark.parametrize(
  "selector", [random.Random(), full.Full(), top.Top(highest=True)]
)
def test_where_no_record_is_likelier_all_weigh_one(recipe, tmp_path, selector):
  made = _changed(recipe, selector=selector, weights="importance")
  assert set(made.select(tmp_path / "kept").weights("web").tolist()) == {1.0}


def test_examples_can_be_kept_without_token_counts(recipe, tmp_path):
  alone = _changed(recipe, budget=budget.examples(7), token_counts=None)
  made = alone.select(tmp_path / "kept")
  assert made.records == 7 and "tokens" not in made.summary
  facts = pretraining.facts(selection=str(made.directory))
  assert facts["kept_tokens"] is None
  assert facts["kept_fraction"] == made.summary["kept_fraction"]
  with pytest.raises(SelectionError, match="needs the token count"):
    _changed(recipe, token_counts=None).select(tmp_path / "none")


def test_unknown_weights_are_refused(recipe, tmp_path):
  with pytest.raises(ValueError, match="'yes' is not a valid Weights"):
    _changed(recipe, weights="yes").select(tmp_path / "kept")


def test_the_lowest_are_another_selection_than_the_highest(recipe, tmp_path):
  low = _changed(recipe, selector=top.Top(highest=False))
  recipe.select(tmp_path / "kept")
  with pytest.raises(artifacts.ArtifactError, match="settings"):
    low.select(tmp_path / "kept")
  assert "settings" not in recipe.identity


def _column(directory):
  return score_sets.ScoreSet.open(directory).read(["score"])["score"]["web"]


def test_quality_and_density_are_drawn_together(recipe, tmp_path):
  density = np.random.default_rng(1).uniform(0.1, 1, COUNT)
  quality = -np.random.default_rng(2).exponential(1.0, COUNT)
  mixed = _changed(
    recipe,
    selector=quality_coverage.QualityCoverage(temperature=0.5),
    scores=_scores(tmp_path / "quality", recipe.corpus, quality),
    other_scores=_scores(tmp_path / "density", recipe.corpus, density),
  )
  made = mixed.select(tmp_path / "kept")
  assert made.identity["settings"] == {"temperature": 0.5}
  assert made.identity["other_scores"]["scorer"] == "density"
  pool = recipe.corpus.mask(["pool"])["web"]
  spread = np.std(quality[pool] / 0.5), np.std(np.log(density[pool]))
  mix = made.summary["mix"]
  assert mix["temperature"] == 0.5
  assert mix["quality_spread"] == pytest.approx(spread[0], rel=1e-4)
  assert mix["coverage_spread"] == pytest.approx(spread[1], rel=1e-4)
  assert mix["quality_share"] == pytest.approx(
    spread[0] ** 2 / (spread[0] ** 2 + spread[1] ** 2), rel=1e-4
  )


def _with_quotas(recipe, at_least, at_most):
  return _changed(
    recipe,
    budget=budget.examples(12),
    quotas=quotas.Quotas(label="source", at_least=at_least, at_most=at_most),
  )


def test_quotas_are_kept_and_their_cost_is_said(recipe, tmp_path):
  values = _column(recipe.scores)
  plain = _changed(recipe, budget=budget.examples(12)).select(tmp_path / "all")
  made = _with_quotas(recipe, {"a/*": 0.25}, {"b": 0.25}).select(
    tmp_path / "kept"
  )
  rows, before = made.positions("web"), plain.positions("web")
  counts = np.bincount(rows % 3, minlength=3)
  assert counts.sum() == 12 and counts[:2].min() >= 3 and counts[2] <= 3
  found = made.summary["quotas"]
  assert found["mean_score"] == pytest.approx(values[rows].mean())
  assert found["mean_score_without"] == pytest.approx(values[before].mean())
  assert found["mean_score"] <= found["mean_score_without"]
  assert found["shares"] == dict(
    zip(["a/one", "a/two", "b"], counts / 12, strict=True)
  )
  assert sum(found["shares_without"].values()) == pytest.approx(1)


def test_a_source_that_is_not_there_is_told_by_name(recipe, tmp_path):
  with pytest.raises(SelectionError, match="'c'.*'a/one', 'a/two', 'b'"):
    _with_quotas(recipe, {"c": 0.1}, {}).select(tmp_path / "kept")
  assert not (tmp_path / "kept").exists()
  weighted = _changed(_with_quotas(recipe, {}, {}), weights="importance")
  with pytest.raises(SelectionError, match="not known under quotas"):
    weighted.select(tmp_path / "kept")


def test_shards_and_groups_may_have_quotas(recipe, tmp_path):
  for label, name in (("shard", "web"), ("group", "")):
    bounds = quotas.Quotas(label=label, at_least={"*": 1.0}, at_most={})
    made = _changed(recipe, quotas=bounds).select(tmp_path / label)
    assert made.summary["quotas"]["shares"] == {name: 1.0}
