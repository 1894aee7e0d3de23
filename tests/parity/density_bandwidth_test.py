# SPDX-License-Identifier: Apache-2.0
"""configs/density_bandwidth.py up to its selections, on a small corpus."""

import dataclasses

from configs import chains, density_bandwidth
from data_efficient.data import score_sets, selections
from tests import quickstarts

_VOCABULARY = "gin/data/trained_vocabulary.gin"


def _small(job):
  files = [
    "gin/data/smoke_vocabulary.gin" if file == _VOCABULARY else file
    for file in job.gin_files
  ]
  return dataclasses.replace(job, gin_files=files)


def test_each_width_is_another_density_and_says_how_uneven_it_is(tmp_path):
  corpus = quickstarts.write_corpus(tmp_path / "files")
  laptop = chains.Laptop(output=str(tmp_path / "out"), corpus=corpus)
  for job in density_bandwidth.jobs(laptop=laptop, macros={}):
    once = job.verb == "score" or job.name.endswith("0.4-0")
    if job.verb in ("score", "select") and once:
      assert quickstarts.run_job(_small(job)) == 0, job.command()

  widths, ratios, shares = {}, {}, {}
  for name in density_bandwidth.SAMPLERS:
    found = score_sets.ScoreSet.open(tmp_path / "out/scores" / name)
    widths[name] = found.identity["scorer"]["bandwidth"]
    kept = selections.Selection.open(tmp_path / f"out/selections/{name}-0.4-0")
    ratios[name] = kept.summary["weight_ratio"]
    shares[name] = kept.summary["effective_sample_share"]
  assert len({str(width) for width in widths.values()}) == len(widths)
  # Wide cells hold everything: all densities are alike, weights nearly so.
  wide = [f"density_{name}" for name in ("double", "four", "eight")]
  assert sorted(wide, key=lambda name: -ratios[name]) == wide
  assert sorted(wide, key=shares.get) == wide
  assert all(0 < share <= 1 for share in shares.values())
