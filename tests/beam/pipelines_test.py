# SPDX-License-Identifier: Apache-2.0
"""Selections by Beam are those of one process, to the last record."""

import contextlib
import dataclasses
import pathlib

import numpy as np
import pytest

from data_efficient import progress
from data_efficient.cli import select
from data_efficient.data import pipelines
from data_efficient.selection import (
  budget,
  candidates,
  inverse_propensity,
  passes,
  quotas,
)
from tests.data import selecting_test
from tests.selection import by_shard

pytest.importorskip(
  "apache_beam", reason="Apache Beam is not installed: run `make beam`"
)
OPTIONS = ["--runner=DirectRunner"]
recipe = selecting_test.recipe


def _squares(number):
  return np.arange(number) ** 2, np.array(number)


def test_a_pass_is_the_same_as_by_threads(tmp_path):
  each = pipelines.each(OPTIONS, tmp_path / "selection")
  local = list(passes.mapped(_squares, 5))
  for mine, its in zip(local, each(_squares, 5), strict=True):
    np.testing.assert_array_equal(mine[0], its[0])
    assert mine[1] == its[1] and mine[0].dtype == its[0].dtype
  assert list(tmp_path.iterdir()) == []


def _shown(number):
  with progress.bar("a worker's", total=1) as advance:
    advance(1)
  return (np.array(number),)


def test_a_pipeline_has_one_bar(tmp_path, monkeypatch):
  shown = {}

  @contextlib.contextmanager
  def bar(label, total, done):
    shown[label] = [0, total]

    def advance(units):
      shown[label][0] += units

    yield advance

  monkeypatch.setattr(progress, "_lines", bar)
  monkeypatch.setattr(progress, "_terminal", bar)
  monkeypatch.delenv(progress.FILE_VARIABLE, raising=False)
  found = list(pipelines.each(OPTIONS, tmp_path / "selection")(_shown, 3))
  assert [int(one) for (one,) in found] == [0, 1, 2]
  assert shown == {"pipeline": [3, 3]}


def _blocks():
  generator = np.random.default_rng(0)
  return [
    candidates.Candidates(
      np.round(generator.normal(size=count), 2),
      generator.integers(1, 9, count),
      count,
    )
    for count in (500, 0, 300)
  ]


def test_the_cut_of_many_shards_is_the_local_one(tmp_path):
  each = pipelines.each(OPTIONS, tmp_path / "selection")
  found = []
  for where in (None, each):
    ranked = by_shard.ranking_of(_blocks(), each=where)
    cut = ranked.cut(700)
    found.append((cut.threshold, cut.number, ranked.totals))
    found[-1] += tuple(kept.rows.tolist() for kept in ranked.kept(cut))
  assert found[0] == found[1]


@pytest.mark.parametrize("bounded", [False, True])
def test_the_verb_selects_the_same(recipe, tmp_path, bounded):
  bounds = quotas.Quotas(label="source", at_least={}, at_most={"b": 0.1})
  drawn = dataclasses.replace(
    recipe,
    selector=inverse_propensity.InversePropensity(),
    budget=budget.examples(20),
    quotas=bounds if bounded else None,
  )
  output = str(tmp_path / "beam")
  select.select(recipe=drawn, output=output, beam_options=OPTIONS)
  drawn.select(tmp_path / "local")
  for name in ("manifest.json", "00000.parquet"):
    local, its = (tmp_path / place / name for place in ("local", "beam"))
    assert local.read_bytes() == pathlib.Path(its).read_bytes()
