# SPDX-License-Identifier: Apache-2.0
"""Kernels whose sums are exact, and every function by its formula."""

import numpy as np

from data_efficient.selection import objectives, pairwise
from data_efficient.selection.pairwise import KNOWN, POOL, QUERIES

ETA, NU, PENALTY, RIDGE = 0.75, 0.5, 0.25, 1.0


def exact(rows, columns, seed=0, low=-16):
  """Multiples of 1/64: their sums are the same in any order."""
  rng = np.random.default_rng(seed)
  return rng.integers(low, 49, (rows, columns)).astype(np.float32) / 64


def psd(count, seed=0):
  rng = np.random.default_rng(seed)
  vectors = rng.integers(0, 4, (count, 5)).astype(np.float32) / 4
  return vectors @ vectors.T


def kernel(values, targets=POOL, examples=POOL):
  return pairwise.Kernel(values, records=(targets, examples))


def made(name, seed=0, count=8):
  """(objective, its kernels, the function by its formula)."""
  s = exact(count, count, seed)
  to, of = exact(count, 5, seed + 1), exact(6, count, seed + 2)
  pd = psd(count, seed)
  pool = kernel(s)
  cases = {
    "facility_location": (
      objectives.FacilityLocation(),
      (pool,),
      lambda a: sum(_most(s[i, a]) for i in range(count)),
    ),
    "fl1mi": (
      objectives.FL1MI(eta=ETA),
      (pool, kernel(to, POOL, QUERIES)),
      lambda a: sum(
        min(_most(s[i, a]), ETA * _most(to[i])) for i in range(count)
      ),
    ),
    "fl2mi": (
      objectives.FL2MI(eta=ETA),
      (kernel(of, QUERIES, POOL),),
      lambda a: (
        sum(_most(of[q, a]) for q in range(len(of)))
        + ETA * sum(_most(of[:, j]) for j in a)
      ),
    ),
    "flmi": (
      objectives.FLMI(eta=ETA),
      (pool, kernel(of, QUERIES, POOL)),
      lambda a: (
        sum(_most(s[i, a]) for i in range(count))
        + ETA * sum(_most(of[:, j]) for j in a)
      ),
    ),
    "flcg": (
      objectives.FLCG(nu=NU),
      (pool, kernel(to, POOL, KNOWN)),
      lambda a: sum(
        max(_most(s[i, a]) - NU * _most(to[i]), 0) for i in range(count)
      ),
    ),
    "graph_cut": (
      objectives.GraphCut(penalty=PENALTY),
      (kernel(pd),),
      lambda a: float(pd[:, a].sum() - PENALTY * pd[np.ix_(a, a)].sum()),
    ),
    "log_determinant": (
      objectives.LogDeterminant(ridge=RIDGE),
      (kernel(pd),),
      lambda a: float(
        np.linalg.slogdet(pd[np.ix_(a, a)] + RIDGE * np.eye(len(a)))[1]
      ),
    ),
  }
  return cases[name]


NAMES = (
  *("facility_location", "fl1mi", "fl2mi", "flmi", "flcg"),
  *("graph_cut", "log_determinant"),
)
COVERS = NAMES[:5]


def _most(values):
  """The largest, from 0."""
  return max([0.0, *map(float, values)])
