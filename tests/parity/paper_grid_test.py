# SPDX-License-Identifier: Apache-2.0
"""configs/paper_grid.py to its end, at sizes that are worth nothing."""

import contextlib
import json
import pathlib

import pytest

from launch import configs
from tests import compilation, nano, quickstarts
from tests.data import served

SIZES = {"nano": 16, "micro": 32}
BUDGETS = (0.1, 0.2, 0.4, 0.6, 0.8)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
  """The directory of the grid, all jobs of which are done."""
  root = tmp_path_factory.mktemp("grid")
  corpus = quickstarts.write_corpus(root / "files")
  vocabulary = served.train_vocabulary(root)
  nano.write(root, **SIZES)
  words = [f"--corpus={corpus}", f"--vocabulary={vocabulary.path}"]
  words += ["--engine=local", "--steps=6", f"--output={root / 'out'}"]
  words += ["--samplers=quality_classifier", f"--sizes={' '.join(SIZES)}"]
  found = configs.load(
    pathlib.Path("configs/paper_grid.py"), [*words, "--suites="]
  )
  with (
    contextlib.chdir(root),
    compilation.shared(root / "compiled"),
    quickstarts.shared_training(),
  ):
    for job in found:
      assert quickstarts.run_job(job) == 0, job.command()
  return root / "out"


def test_both_sizes_and_all_budgets_are_in_one_report(experiment):
  results = json.loads((experiment / "results.json").read_text())
  assert not results["left_out"] and not results["random_missing"]
  small, large = (each["network"] for each in results["networks"])
  rows = {
    (row["network"], row["sampler"], row["budget"]): row
    for row in results["samplers"]
  }
  assert set(rows) == {
    (network, sampler, budget)
    for network in (small, large)
    for sampler, budgets in (
      ("full", (1.0,)),
      ("random", BUDGETS),
      ("quality_classifier", BUDGETS),
    )
    for budget in budgets
  }
  for (network, sampler, _), row in rows.items():
    found = row["over_scaling"]
    if network == large:  # There is no next size.
      assert found is None
    elif sampler == "full":
      assert found["hq_loss"]["mean"] == pytest.approx(0.0)
    else:
      full, next_size = (
        rows[name, "full", 1.0]["hq_loss"]["mean"] for name in (small, large)
      )
      share = (full - row["hq_loss"]["mean"]) / (full - next_size)
      assert found["hq_loss"]["mean"] == pytest.approx(100 * share)


def test_the_page_shows_both_sizes_and_over_scaling(experiment):
  results = json.loads((experiment / "results.json").read_text())
  markdown = (experiment / "report.md").read_text()
  table = markdown[markdown.index("The layout of the paper's Table 1") :]
  for network in results["networks"]:
    assert network["network"] in table
  assert "Over-scaling %" in markdown
  assert "Over-scaling %" in (experiment / "index.html").read_text()
