# SPDX-License-Identifier: Apache-2.0
"""Kernels of which some pairs are computed, by the verb `utility`."""

import json

import numpy as np
import pytest

from data_efficient import main
from data_efficient.data.utility_blocks import PairStatus
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.scorers import pairwise_utility
from tests import decoders

COUNT = 14
ROWS = [
  {"instruction": f"Say {word}.", "output": word[::-1]}
  for word in "red blue fish sea cat dog sun moon tree bird snow rain".split()
]
# A copy of the first, and what cannot be scored.
ROWS += [ROWS[0], {"instruction": "Say nothing.", "output": ""}]
SCORABLE = np.arange(COUNT) < COUNT - 1
EMBEDDER = "from __gin__ import dynamic_registration\n" + (
  "from tests.scorers import embedded\nEMBEDDER = @embedded.Embedder()\n"
)
SETTINGS = {
  "neighbours": {"NEIGHBOURS": 3},
  "landmarks": {"LANDMARKS": 3, "LANDMARK_TARGETS": 4},
  "influence_network": {"INFLUENCE_FRACTION": 0.4, "INFLUENCE_HIDDEN": 8},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  directory = tmp_path_factory.mktemp("approximating")
  text = "".join(json.dumps(row) + "\n" for row in ROWS)
  (directory / "pool.jsonl").write_text(text)
  (directory / "embedder.gin").write_text(EMBEDDER)
  decoders.save(directory / "judge")
  return directory


def _run(files, output, name=None, **bindings) -> int:
  bindings = {
    "POOL": f"{files}/pool.jsonl",
    "JUDGE_CHECKPOINT": f"{files}/judge",
    "OUTPUT": str(output),
    "BLOCK": (5, 4),
    "BATCH_TOKENS": 256,
    "MAX_TOKENS": 96,
    "MAX_EXAMPLE_TOKENS": 32,
    **SETTINGS.get(name, {}),
  } | bindings
  gin_files = ["gin/runs/utility.gin", "gin/scorers/templates/bare.gin"]
  if name:
    gin_files += [f"{files}/embedder.gin", f"gin/scorers/utility_{name}.gin"]
  return main.main(
    [
      "utility",
      *(f"--gin_file={path}" for path in gin_files),
      *(f"--gin.{name}={value!r}" for name, value in bindings.items()),
    ]
  )


@pytest.fixture(scope="module")
def exact(files):
  assert _run(files, files / "exact") == 0
  return UtilityKernel.open(files / "exact")


@pytest.fixture(scope="module", params=SETTINGS)
def made(request, files, exact):
  assert _run(files, files / request.param, request.param) == 0
  return request.param, UtilityKernel.open(files / request.param)


def test_what_is_computed_is_what_it_is_and_the_rest_says_so(made, exact):
  name, kernel = made
  statuses, before = kernel.statuses(), exact.statuses()
  # Of pairs with a record that cannot be scored nothing changes.
  assert (statuses[~SCORABLE] == PairStatus.UNSCORABLE).all()
  assert (statuses[:, ~SCORABLE] == PairStatus.UNSCORABLE).all()
  computed = statuses == PairStatus.SCORED
  assert (before[computed] == PairStatus.SCORED).all()
  np.testing.assert_allclose(
    kernel.read("raw")[computed], exact.read("raw")[computed], atol=1e-5
  )
  others = (before == PairStatus.SCORED) & ~computed
  assert others.sum() > computed.sum() / 4
  predicted = PairStatus.NOT_COMPUTED
  if name != "neighbours":
    predicted = PairStatus.PREDICTED
    assert np.ptp(kernel.read("raw")[others]) > 0
  assert (statuses[others] == predicted).all()
  assert kernel.mask()[others].all() == (name == "neighbours")
  # A record and itself are never predicted.
  alike = np.isin(before, (PairStatus.SELF, PairStatus.DUPLICATE))
  allowed = {PairStatus.SELF, PairStatus.DUPLICATE, PairStatus.NOT_COMPUTED}
  assert {*statuses[alike].tolist()} <= allowed
  assert kernel.mask()[alike].all()
  assert kernel.scored == computed.sum()


def test_the_pairs_that_are_asked_for(made):
  name, kernel = made
  computed = kernel.statuses() == PairStatus.SCORED
  if name == "neighbours":
    assert (computed.sum(axis=1) == np.where(SCORABLE, 3, 0)).all()
  elif name == "landmarks":
    whole = computed.sum(axis=1) > COUNT // 2
    assert whole.sum() == 4
    assert ((computed[~whole].sum(axis=0) > 0) <= SCORABLE).all()
    assert (computed[~whole].sum(axis=0) > 0).sum() == 3
  else:
    assert (computed.any(axis=1).sum(), computed.any(axis=0).sum()) == (5, 5)


def _bytes(directory):
  return {
    path.relative_to(directory): path.read_bytes()
    for path in directory.rglob("*")
    if path.is_file() and path.name not in ("cost.json", ".lock")
  }


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
  files, tmp_path, monkeypatch, made
):
  name, _ = made
  block, calls = pairwise_utility.PairwiseUtility.block, []

  def stopped(self, *arguments, **words):
    calls.append(0)
    if len(calls) == 2:
      raise KeyboardInterrupt
    return block(self, *arguments, **words)

  monkeypatch.setattr(pairwise_utility.PairwiseUtility, "block", stopped)
  assert _run(files, tmp_path / "k", name) == 130
  monkeypatch.undo()
  assert _run(files, tmp_path / "k", name) == 0
  assert _bytes(tmp_path / "k") == _bytes(files / name)


def test_another_approximation_is_refused_by_what_differs(files, made, capsys):
  name, _ = made
  change = {
    "neighbours": {"NEIGHBOURS": 4},
    "landmarks": {"LANDMARK_CHOICE": "random"},
    "influence_network": {"INFLUENCE_EPOCHS": 3},
  }
  assert _run(files, files / name, name, **change[name]) == 2
  assert "approximation." in capsys.readouterr().err


def test_too_few_records_for_landmarks(files, tmp_path, capsys):
  assert _run(files, tmp_path / "k", "landmarks", LANDMARKS=COUNT) == 2
  assert "compute all pairs" in capsys.readouterr().err


def test_an_approximation_needs_an_embedder(files, tmp_path, capsys):
  arguments = [
    *("utility", "--gin_file=gin/runs/utility.gin"),
    "--gin_file=gin/scorers/utility_neighbours.gin",
    f"--gin.POOL={files}/pool.jsonl",
    f"--gin.JUDGE_CHECKPOINT={files}/judge",
    f"--gin.OUTPUT={tmp_path}/k",
  ]
  assert main.main(arguments) == 2
  assert "EMBEDDER" in capsys.readouterr().err
