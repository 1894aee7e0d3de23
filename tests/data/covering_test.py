# SPDX-License-Identifier: Apache-2.0
"""From kernels on disk to selections on disk."""

import dataclasses

import numpy as np
import pytest

from data_efficient import gin_config
from data_efficient.cli import select
from data_efficient.data import (
  artifacts,
  covering,
  pair_sources,
  prepared,
  selections,
  utility_kernel_writer,
  utility_kernels,
)
from data_efficient.data.utility_kernels import Axis
from data_efficient.selection import (
  budget,
  cover,
  objectives,
  pairwise,
  quotas,
)
from data_efficient.selection.interface import SelectionError
from tests.data import fakes, selecting_test, splits_test

COUNT = 12


def _axis(name, count, unscorable=()):
  """Two files, the second one of a third of the records."""
  first = count - count // 3
  files = [f"{name}/a.jsonl"] * first + [f"{name}/b.jsonl"] * (count - first)
  positions = [*range(first), *range(count - first)]
  contents = [hash((name, file)) % 2**60 for file in files]
  return Axis(
    files,
    np.array(contents, np.uint64),
    np.array(positions, np.int64),
    np.arange(count, dtype=np.uint64) + 1000 * len(name),
    [
      "unscorable(empty)" if i in unscorable else "scored" for i in range(count)
    ],
  )


def _kernel(directory, targets, examples, seed=0):
  shape = len(targets.files), len(examples.files)
  values = np.random.default_rng(seed).normal(0.02, 0.1, shape)
  with utility_kernel_writer.UtilityKernelWriter(
    directory,
    identity={"name": directory.name},
    targets=targets,
    examples=examples,
    block=(5, 7),
  ) as writer:
    writer.write_alone(np.ones(shape[0], np.float32))
    for place in writer.missing():
      block = values[place.targets, place.examples]
      writer.write(place, block.astype(np.float32))
    writer.finish()
  return str(directory)


POOL, QUERIES = _axis("pool", COUNT, unscorable=[4]), _axis("queries", 6)


@pytest.fixture
def kernels(tmp_path):
  return {
    "pool": _kernel(tmp_path / "pool", POOL, POOL),
    "of": _kernel(tmp_path / "of", QUERIES, POOL, 1),
    "to": _kernel(tmp_path / "to", POOL, QUERIES, 2),
  }


def _recipe(objective, kernel, beside=None, **more):
  settings = {
    "sampler": "delift",
    "selector": cover.Cover(
      objective=objective, maximiser="batched", tail="alone"
    ),
    "pairs": pair_sources.Utilities(
      kernel=kernel, beside=beside, transform="clip"
    ),
    "budget": budget.examples(5),
    "seed": 0,
    **more,
  }
  return covering.Recipe(**settings)


def _numbers(made):
  """Kept records as numbers of the pool."""
  first = COUNT - COUNT // 3
  found = made.positions("pool/a.jsonl").tolist()
  return found + [first + p for p in made.positions("pool/b.jsonl").tolist()]


def _value(kernel, members):
  values = utility_kernels.UtilityKernel.open(kernel).read("clip")
  return float(values[:, members].max(axis=1).sum())


def test_a_utility_kernel_becomes_a_selection(kernels, tmp_path):
  recipe = _recipe(objectives.FacilityLocation(), kernels["pool"])
  made = recipe.select(tmp_path / "kept")
  kept = _numbers(made)
  # An example without a prompt is never kept.
  assert len(kept) == 5 and 4 not in kept
  facts = made.summary
  assert facts["records"] == COUNT and facts["scorable_records"] == COUNT - 1
  assert facts["cover"]["value"] == pytest.approx(_value(kernels["pool"], kept))
  assert 0.7 < facts["cover"]["certificate"] <= 1
  assert made.shards == {"pool/a.jsonl": 8, "pool/b.jsonl": 4}
  assert recipe.select(tmp_path / "kept").positions(
    "pool/a.jsonl"
  ).tolist() == [number for number in kept if number < 8]
  other = dataclasses.replace(recipe, budget=budget.examples(6))
  with pytest.raises(artifacts.ArtifactError, match=r"budget.amount"):
    other.select(tmp_path / "kept")
  assert set(kept) < set(_numbers(other.select(tmp_path / "more")))


@pytest.mark.parametrize(
  ("objective", "kernel", "beside"),
  [
    (objectives.FL1MI(eta=1.0), "pool", "to"),
    (objectives.FL2MI(eta=1.0), "of", None),
    (objectives.FLMI(eta=1.0), "pool", "of"),
    (objectives.FLCG(nu=1.0), "pool", "to"),
  ],
)
def test_every_form_finds_its_kernels_by_their_records(
  kernels, tmp_path, objective, kernel, beside
):
  recipe = _recipe(objective, kernels[kernel], beside and kernels[beside])
  made = recipe.select(tmp_path / "kept")
  assert len(_numbers(made)) == 5
  assert made.identity["settings"]["objective"] == objective.name
  turned = {"to": "of", "of": "to", None: None}[beside]
  if turned:
    wrong = _recipe(objective, kernels[kernel], kernels[turned])
    with pytest.raises(pairwise.KernelError, match="wrong way round"):
      wrong.select(tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


def test_one_scale_for_both_kernels(kernels):
  pairs = pair_sources.Utilities(
    kernel=kernels["pool"], beside=kernels["of"], transform="minmax"
  )
  examples = pairs.examples(np.ones(COUNT, bool))
  found = pairs.pairs(objectives.FLMI(eta=1.0), examples)
  both = [found.kernel.values, found.beside.values]
  assert max(values.max() for values in both) == 1.0
  raw = [
    utility_kernels.UtilityKernel.open(kernels[name]).read("raw")
    for name in ("pool", "of")
  ]
  columns = np.delete(np.arange(COUNT), 4)
  high, low = max(r.max() for r in raw), min(r.min() for r in raw)
  expected = (raw[1][:, columns] - low) / (high - low)
  np.testing.assert_allclose(both[1], expected, atol=1e-6)


def test_graph_cut_refuses_utilities(kernels, tmp_path):
  recipe = _recipe(objectives.GraphCut(penalty=0.5), kernels["pool"])
  with pytest.raises(pairwise.KernelError, match="square|symmetric"):
    recipe.select(tmp_path / "kept")


def test_quotas_of_files_and_what_they_cost(kernels, tmp_path):
  bounds = quotas.Quotas(label="shard", at_least={"*/b.jsonl": 0.6}, at_most={})
  recipe = _recipe(
    objectives.FacilityLocation(), kernels["pool"], quotas=bounds
  )
  made = recipe.select(tmp_path / "kept")
  assert len(made.positions("pool/b.jsonl")) >= 3
  assert made.summary["cover"]["without_groups"]["cost"] >= 0
  for label, message in (("source", "need CORPUS"), ("shard", "no record")):
    wrong = quotas.Quotas(label=label, at_least={"c": 0.1}, at_most={})
    with pytest.raises(SelectionError, match=message):
      dataclasses.replace(recipe, quotas=wrong).select(tmp_path / "none")
  with pytest.raises(SelectionError, match="CORPUS and TOKEN_COUNTS"):
    tokens = dataclasses.replace(recipe, budget=budget.tokens(9), quotas=None)
    tokens.select(tmp_path / "none")
  with pytest.raises(SelectionError, match="only 11 can be kept"):
    dataclasses.replace(recipe, budget=budget.examples(12)).select(
      tmp_path / "none"
    )


@pytest.fixture
def corpus(tmp_path):
  texts = splits_test._texts(1, COUNT + 30)
  rows = {
    "pool/a.jsonl": [(t, f"s{i % 2}", "") for i, t in enumerate(texts[:8])],
    "pool/b.jsonl": [(t, "s2", "") for t in texts[8:COUNT]],
  }
  return prepared.Prepared(
    corpus=fakes.Memory(rows),
    directory=str(tmp_path / "prepared"),
    policy=splits_test.PLAIN,
    hq_corpus=fakes.Memory({"books": texts[COUNT:]}, name="books"),
    in_distribution_corpus=fakes.Memory({"own": [texts[2]] * 9}, name="own"),
  )


def test_a_corpus_says_what_is_the_pool_and_what_tokens_cost(
  kernels, corpus, tmp_path
):
  tokens = selecting_test._scores
  recipe = _recipe(
    objectives.FacilityLocation(),
    kernels["pool"],
    corpus=corpus,
    budget=budget.examples(10),
    quotas=quotas.Quotas(label="source", at_least={"s2": 0.3}, at_most={}),
  )
  made = recipe.select(tmp_path / "kept")
  # A copy of an evaluation record is not in the pool.
  assert 2 not in _numbers(made) and len(_numbers(made)) == 10
  assert made.summary["records"] == COUNT - 1
  assert sum(made.summary["sources"].values()) == 10
  counted = tokens(tmp_path / "tokens", _Shards(corpus), np.full(COUNT, 10.0))
  priced = dataclasses.replace(
    recipe, budget=budget.tokens(35), token_counts=counted, quotas=None
  )
  made = priced.select(tmp_path / "priced")
  assert made.summary["kept_tokens"] == 30 == made.summary["cover"]["spent"]
  missing = dataclasses.replace(
    recipe,
    corpus=dataclasses.replace(
      corpus,
      corpus=fakes.Memory({"other.jsonl": ["z" * 40] * 9}),
      directory=str(tmp_path / "other"),
    ),
  )
  with pytest.raises(artifacts.ArtifactError, match="'pool/a.jsonl', which is"):
    missing.select(tmp_path / "none")


@dataclasses.dataclass(frozen=True)
class _Shards:
  """What `selecting_test._scores` reads of a corpus."""

  prepared: prepared.Prepared

  @property
  def index(self):
    return self.prepared.index


SAMPLERS = {
  "delift": "FacilityLocation",
  "delift_se": "FacilityLocation",
  "delift_fl1mi": "FL1MI",
  "delift_fl2mi": "FL2MI",
  "delift_flmi": "FLMI",
  "delift_flcg": "FLCG",
  "cover_graph_cut": "GraphCut",
  "cover_log_determinant": "LogDeterminant",
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("run", ["select_utility", "select_embeddings"])
def test_every_gin_file_is_complete(name, run, root):
  files = {path.stem for path in root.glob("gin/selectors/delift*.gin")}
  parts = {"delift_utilities", "delift_embeddings"}
  assert files - parts == {name for name in SAMPLERS if "delift" in name}
  embedded = run == "select_embeddings"
  gin_config.parse(
    [
      f"gin/runs/{run}.gin",
      *(["gin/data/files.gin"] if embedded else []),
      f"gin/selectors/{name}.gin",
    ],
    [
      "OUTPUT=x",
      *(
        ["EMBEDDINGS=x", "FILES=x", "PREPARED=x"] if embedded else ["KERNEL=x"]
      ),
    ],
  )
  gin_config.configured(select.select)
  text = gin_config.resolved()
  assert f"OBJECTIVE = @objectives.{SAMPLERS[name]}()" in text


def test_the_verb_selects_and_says_how_good_it_is(kernels, tmp_path, capsys):
  gin_config.parse(
    [
      "gin/runs/select_utility.gin",
      "gin/selectors/delift_fl1mi.gin",
      "gin/selectors/quotas.gin",
    ],
    [
      f"KERNEL={kernels['pool']}",
      f"OTHER_KERNEL={kernels['to']}",
      f"OUTPUT={tmp_path / 'kept'}",
      *("KEEP_FRACTION=0.9", "QUOTA_LABEL=shard", "AT_LEAST={'*': 0.3}"),
    ],
  )
  gin_config.configured(select.select)()
  text = capsys.readouterr().out
  assert "kept 11 of 12 records" in text
  assert "fl1mi" in text and "of the best set's" in text
  assert "quotas: they cost" in text
  assert selections.Selection.open(tmp_path / "kept").records == 11
  recipe = _recipe(objectives.FacilityLocation(), kernels["pool"])
  with pytest.raises(ValueError, match="EXPLAIN and BEAM_OPTIONS"):
    select.select(recipe=recipe, output="x", explain="y")
