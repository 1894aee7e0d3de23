# SPDX-License-Identifier: Apache-2.0
import collections

import numpy as np
import pytest

from data_efficient.evaluation import inclusion
from data_efficient.evaluation.runs import EvaluationError


def _by_counting(kept, fingerprints, densities):
  times = collections.Counter(fingerprints)
  scored = sorted((d, i) for i, d in enumerate(densities) if not np.isnan(d))
  rare = {i for _, i in scored[: -(-len(scored) // 10)]}
  kinds = {
    "duplicated": [i for i, f in enumerate(fingerprints) if times[f] > 1],
    "unique": [i for i, f in enumerate(fingerprints) if times[f] == 1],
    "rare": sorted(rare),
  }
  return {
    kind: sum(bool(kept[i]) for i in members) / len(members)
    for kind, members in kinds.items()
  }


def test_agrees_with_counting():
  generator = np.random.default_rng(0)
  fingerprints = generator.integers(0, 60, 73).astype(np.uint64)
  densities = generator.integers(0, 9, 73).astype(np.float32)
  densities[5] = np.nan
  kept = generator.random(73) < 0.4
  found = inclusion.inclusion(
    kept, fingerprints=fingerprints, densities=densities
  )
  assert found == pytest.approx(_by_counting(kept, fingerprints, densities))


def test_kinds_without_a_record_are_none():
  kept = np.array([True, False])
  fingerprints = np.array([1, 2], np.uint64)
  found = inclusion.inclusion(kept, fingerprints=fingerprints, densities=None)
  assert found == {"duplicated": None, "unique": 0.5, "rare": None}


def test_another_pool_is_refused():
  # Shapes are checked by types too; called as a user without the hook would.
  function = inclusion.inclusion
  function = getattr(function, "__wrapped__", function)
  with pytest.raises(EvaluationError, match="2 records, but 3 fingerprints"):
    function(
      np.array([True, False]),
      fingerprints=np.arange(3, dtype=np.uint64),
      densities=None,
    )
