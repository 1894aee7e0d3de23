# SPDX-License-Identifier: Apache-2.0
"""The functions of submodlib, where its formulas are ours: values and picks.

Its rows are what is represented; of the kernels beside the pool's, the pool's
records. Its budget must be below the number of examples.
"""

import numpy as np
import pytest

from data_efficient.selection import greedy
from tests.selection import set_functions
from tests.selection.set_functions import ETA, NU, PENALTY, RIDGE

submodlib = pytest.importorskip(
  "submodlib", reason="submodlib is not installed: run `make parity`"
)

COUNT = 40


def _theirs(name, kernels):
  pool = kernels[0].values
  dense = {"n": COUNT, "mode": "dense"}
  # It counts an example's similarity to itself in this library's float32 lists.
  makers = {
    "facility_location": lambda: submodlib.FacilityLocationFunction(
      **dense, sijs=pool, separate_rep=False
    ),
    "fl1mi": lambda: submodlib.FacilityLocationMutualInformationFunction(
      n=COUNT,
      num_queries=5,
      data_sijs=pool,
      query_sijs=kernels[1].values,
      magnificationEta=ETA,
    ),
    "fl2mi": lambda: submodlib.FacilityLocationVariantMutualInformationFunction(
      n=COUNT,
      num_queries=6,
      query_sijs=np.ascontiguousarray(pool.T),
      queryDiversityEta=ETA,
    ),
    "flcg": lambda: submodlib.FacilityLocationConditionalGainFunction(
      n=COUNT,
      num_privates=5,
      data_sijs=pool,
      private_sijs=kernels[1].values,
      privacyHardness=NU,
    ),
    "graph_cut": lambda: submodlib.GraphCutFunction(
      **dense, lambdaVal=PENALTY, ggsijs=pool
    ),
    "log_determinant": lambda: submodlib.LogDeterminantFunction(
      **dense, lambdaVal=RIDGE, sijs=pool
    ),
  }
  return makers[name]()


NAMES = [name for name in set_functions.NAMES if name != "flmi"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_values_and_picks_are_theirs(name, seed):
  objective, kernels, _ = set_functions.made(name, seed, COUNT)
  # Without ties, and without the negative entries that it takes for others.
  noise = np.random.default_rng(seed)
  if name not in ("graph_cut", "log_determinant"):
    kernels = [
      kernel._replace(
        values=np.maximum(kernel.values, 0)
        + noise.random(kernel.values.shape, np.float32) / 100
      )
      for kernel in kernels
    ]
  else:
    vectors = noise.random((COUNT, 8), np.float32)
    kernels = [set_functions.kernel(vectors @ vectors.T)]
  function, other = objective.function(*kernels), _theirs(name, kernels)
  for size in (1, 5, 20):
    members = noise.permutation(COUNT)[:size].tolist()
    mine = function.fresh()
    for example in members:
      mine.add(example)
    assert other.evaluate(set(members)) == pytest.approx(mine.value, rel=1e-4)
  picks = greedy.lazy(function.fresh(), 15)
  theirs = other.maximize(
    budget=15,
    optimizer="NaiveGreedy",
    stopIfZeroGain=True,
    stopIfNegativeGain=False,
    show_progress=False,
  )
  examples, gains = zip(*theirs, strict=True)
  found = picks.gains[: len(gains)]
  np.testing.assert_allclose(found, gains, rtol=1e-3, atol=1e-4)
  assert picks.examples[: len(examples)].tolist() == list(examples)
