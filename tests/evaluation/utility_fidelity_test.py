# SPDX-License-Identifier: Apache-2.0
"""Fidelity against figures counted pair by pair, and its verb."""

import json

import numpy as np
import pytest
from scipy import stats

from data_efficient import main
from data_efficient.evaluation import (
  bootstrap,
  fidelity_text,
  selection_fidelity,
  utility_fidelity,
)
from data_efficient.selection import cover, objectives
from tests import kernel_files

ROWS, COLUMNS = 20, 12
TARGETS, EXAMPLES = range(1, ROWS + 1), range(101, COLUMNS + 101)
RANDOM = np.random.default_rng(0)
EXACT = RANDOM.normal(size=(ROWS, COLUMNS)).astype(np.float32)
GUESS = (0.7 * EXACT + RANDOM.normal(size=EXACT.shape)).astype(np.float32)
COMPUTED = RANDOM.random(EXACT.shape) < 0.3
CHEAP = np.where(COMPUTED, EXACT, GUESS)
APPROXIMATION = {"approximation": {"name": "landmarks"}}


def _settings(**change) -> utility_fidelity.Settings:
  selector = cover.Cover(
    objective=objectives.FacilityLocation(), maximiser="lazy", tail="alone"
  )
  return utility_fidelity.Settings(
    **{"selector": selector, "transform": "clip", "budgets": (0.25, 1.0)},
    **{"seeds": (0, 1, 2), "resamples": 200, "seed": 0},
  )._replace(**change)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
  """An exact kernel of a sample, in another order, and approximations."""
  root = tmp_path_factory.mktemp("kernels")
  rows, columns = np.arange(ROWS)[::-1][:15], np.arange(2, COLUMNS)
  shape = {"targets": TARGETS, "examples": EXAMPLES}
  return {
    "exact": kernel_files.write(
      root / "exact",
      np.concatenate([EXACT[np.ix_(rows, columns)], np.ones((1, 10))]),
      # The last target is unknown to the others.
      targets=[*(rows + 1), 99],
      examples=columns + 101,
    ),
    "cheap": kernel_files.write(
      root / "cheap",
      CHEAP,
      **shape,
      exact=COMPUTED,
      predicted=~COMPUTED,
      **APPROXIMATION,
    ),
    "neighbours": kernel_files.write(
      root / "neighbours", EXACT, **shape, exact=COMPUTED, **APPROXIMATION
    ),
    "proxy": kernel_files.write(
      root / "proxy",
      GUESS,
      **shape,
      scorer={"distance": "euclidean", "judge": "small"},
    ),
    "root": root,
    "held": (~COMPUTED)[np.ix_(rows, columns)],
    "pairs": tuple(v[np.ix_(rows, columns)] for v in (EXACT, CHEAP, GUESS)),
  }


@pytest.fixture(scope="module")
def found(kernels):
  cheap = {name: kernels[name] for name in ("cheap", "neighbours", "proxy")}
  found = utility_fidelity.compare(kernels["exact"], cheap, _settings())
  return {row["name"]: row for row in found["approximations"]} | {"all": found}


def test_held_back_pairs_by_hand(kernels, found):
  exact, cheap, _ = kernels["pairs"]
  held, row = kernels["held"], found["cheap"]
  assert row["pairs"]["held_back"] == held.sum()
  assert row["pairs"]["computed"] == (~held).sum()
  x, y = exact[held], cheap[held]
  figures = row["held_back"]
  assert figures["pearson"]["value"] == pytest.approx(
    np.corrcoef(x, y)[0, 1], abs=1e-6
  )
  assert figures["spearman"]["value"] == pytest.approx(
    stats.spearmanr(x, y).statistic, abs=1e-6
  )
  means = [
    np.where(held, v, 0).sum(axis=1) / held.sum(axis=1) for v in (exact, cheap)
  ]
  rows = np.nonzero(held)[0]
  within = np.corrcoef(x - means[0][rows], y - means[1][rows])[0, 1]
  assert figures["pearson_within_targets"]["value"] == pytest.approx(
    within, abs=1e-6
  )
  error = np.sqrt(np.mean((x.astype(float) - y) ** 2))
  assert figures["root_mean_square_error"] == pytest.approx(error)
  assert figures["standard_deviation"] == pytest.approx(x.std(), rel=1e-5)


def test_an_interval_is_that_of_targets_drawn_again(kernels):
  exact, cheap, _ = (v.astype(float) for v in kernels["pairs"])
  rows = np.repeat(np.arange(15), 10)
  weights = bootstrap.drawn(15, resamples=200, seed=0)
  fast = bootstrap.correlation(exact.ravel(), cheap.ravel(), rows, weights)
  slow = []
  for sample in weights.astype(int):
    drawn = np.repeat(np.arange(15), sample)
    slow.append(np.corrcoef(exact[drawn].ravel(), cheap[drawn].ravel())[0, 1])
  np.testing.assert_allclose(fast["interval"], np.percentile(slow, [2.5, 97.5]))


def test_another_scorer_computed_nothing_that_counts(kernels, found):
  exact, _, guess = kernels["pairs"]
  row = found["proxy"]
  assert row["pairs"]["computed"] == 0
  assert row["pairs"]["held_back"] == exact.size
  value = np.corrcoef(exact.ravel(), guess.ravel())[0, 1]
  assert row["held_back"]["pearson"]["value"] == pytest.approx(value, abs=1e-6)
  assert row["scorer_differs"] and row["kind"] == "other scorer"


def test_pairs_that_nobody_asked_for_have_no_correlation(kernels, found):
  row = found["neighbours"]
  assert row["held_back"] is None
  assert row["pairs"]["without_value"] == kernels["held"].sum()
  exact = np.maximum(kernels["pairs"][0], 0)
  there = np.where(kernels["held"], -np.inf, kernels["pairs"][0])
  best = exact[np.arange(15), there.argmax(axis=1)]
  kept = best[np.isfinite(there.max(axis=1))].sum() / exact.max(axis=1).sum()
  assert row["best_kept"]["value"] == pytest.approx(kept, rel=1e-5)


def test_sets_by_the_exact_kernel(kernels, found):
  exact, cheap, _ = (np.maximum(v, 0) for v in kernels["pairs"])

  def greedy(kernel, count):
    chosen = []
    for _ in range(count):
      values = [
        -1 if j in chosen else kernel[:, [*chosen, j]].max(axis=1).sum()
        for j in range(kernel.shape[1])
      ]
      chosen.append(int(np.argmax(values)))
    return chosen

  best, ours = greedy(exact, 2), greedy(cheap, 2)
  quarter, everything = found["cheap"]["selections"]
  assert quarter["examples"] == 2
  assert quarter["jaccard"] == len({*best} & {*ours}) / len({*best, *ours})
  for name, some in (("objective", ours), ("objective_of_exact", best)):
    value = exact[:, some].max(axis=1).sum()
    assert quarter[name] == pytest.approx(value, rel=1e-5)
  assert everything["jaccard"] == 1
  assert everything["share_of_exact"]["value"] == pytest.approx(1)
  assert everything["against_random"]["verdict"] == "undecided"


def test_only_what_is_decided_is_said():
  exact = np.tile(np.eye(20, dtype=np.float32), (3, 1))
  exact[:, 0] = 0.9

  def verdict(cheap, seeds=range(10)):
    found = selection_fidelity.compare(
      exact,
      cheap,
      selector=_settings().selector,
      budgets=[0.05],
      seeds=seeds,
      weights=bootstrap.drawn(60, resamples=200, seed=0),
    )
    return found[0]["against_random"]["verdict"]

  assert verdict(exact) == "above"
  assert verdict(exact, seeds=[3]) == "undecided"
  worst = np.full_like(exact, 0.0)
  worst[:, 7] = 1
  assert verdict(worst) in ("undecided", "below")
  found = selection_fidelity.compare(
    exact,
    np.zeros_like(exact),
    selector=_settings().selector,
    budgets=[0.05],
    seeds=[0],
    weights=np.ones((100, 60)),
  )
  assert "no entry of the kernel is above 0" in found


def test_the_markdown_says_what_is_not_known(found):
  exact = {**found["all"]["exact"], "seconds": 10.0}
  rows = [
    {**row, "seconds": 2.0, "shape": [ROWS, COLUMNS]}
    for row in found["all"]["approximations"]
  ]
  page = fidelity_text.markdown(
    {
      **found["all"],
      "exact": exact,
      **{
        "approximations": rows,
      },
    }
  )
  (line,) = (
    line
    for line in page.splitlines()
    if line.startswith("| neighbours") and "2.0" in line
  )
  assert line.count("–") == 4 and "undecided" in page
  assert "proxy is by another scorer: judge" in page


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"budgets": (0.0,)}, "above 0, up to 1"),
    ({"seeds": ()}, "at least one of each"),
    ({"resamples": 10}, "at least 100"),
    ({"transform": "minmax"}, "'minmax': expected one of"),
  ],
)
def test_settings_that_cannot_be(kernels, change, said):
  with pytest.raises(utility_fidelity.FidelityError, match=said):
    utility_fidelity.compare(kernels["exact"], {}, _settings(**change))


def test_kernels_that_cannot_be_compared(kernels, tmp_path):
  def message(exact, cheap):
    with pytest.raises(utility_fidelity.FidelityError) as raised:
      utility_fidelity.compare(exact, {"it": cheap}, _settings())
    return str(raised.value)

  exact, cheap = kernels["exact"], kernels["cheap"]
  assert "approximation itself" in message(cheap, exact)
  assert "nothing to compare" in message(exact, exact)
  strange = kernel_files.write(
    tmp_path / "a", EXACT[:2, :2], targets=[500, 501], examples=[1, 2]
  )
  assert "share 0 targets" in message(exact, strange)
  other = kernel_files.write(
    tmp_path / "b", EXACT, targets=TARGETS, examples=EXAMPLES,
    scorer={"distance": "mean"},
  )  # fmt: skip
  assert "no scale in common" in message(exact, other)


def test_the_verb(kernels, tmp_path, capsys):
  root = kernels["root"]
  (root / "exact" / "cost.json").write_text('{"seconds": 100.0}')
  names = {name: f"{root}/{name}" for name in ("cheap", "proxy")}
  arguments = [
    "fidelity",
    f"--gin.EXACT={root}/exact",
    f"--gin.APPROXIMATIONS={names!r}",
    f"--gin.OUTPUT={tmp_path}/out",
    "--gin.BUDGETS=(0.5,)",
  ]
  assert main.main(arguments) == 0
  found = json.loads((tmp_path / "out" / "fidelity.json").read_text())
  assert found["exact"]["seconds"] == 100
  assert [row["name"] for row in found["approximations"]] == [*names]
  page = (tmp_path / "out" / "fidelity.md").read_text()
  assert page in capsys.readouterr().out and "| proxy |" in page
