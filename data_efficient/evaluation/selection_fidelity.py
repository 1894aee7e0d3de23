# SPDX-License-Identifier: Apache-2.0
"""What the set that a cheap kernel leads to is worth by the exact one.

Beside it the set that the exact kernel leads to, and sets drawn at random.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int

from data_efficient.evaluation import bootstrap
from data_efficient.selection import cover, pairwise
from data_efficient.selection.pairwise import QUERIES, Kernel


def compare(
  exact: Float32[np.ndarray, "i j"],
  cheap: Float32[np.ndarray, "i j"],
  *,
  selector: cover.Cover,
  budgets: Sequence[float],
  seeds: Sequence[int],
  weights: bootstrap.Weights,
) -> list[dict[str, Any]] | str:
  """Chooses by both kernels, and compares by the exact one.

  A set is worth Σᵢ max over it of the exact kernel, from 0: facility location.

  Args:
    exact: what the selector reads of the exact kernel.
    cheap: what it reads of the other one.
    selector: of one kernel, such as facility location.
    budgets: fractions of the examples.
    seeds: of the random sets.
    weights: how often each target is in each bootstrap sample.

  Returns:
    For each budget a dict; or why the cheap kernel leads to no set.

  Raises:
    KernelError: the exact kernel leads to none.
  """
  examples = exact.shape[1]
  counts = [max(1, round(budget * examples)) for budget in budgets]
  best = _chosen(exact, selector, max(counts))
  try:
    ours = _chosen(cheap, selector, max(counts))
  except pairwise.KernelError as error:
    return str(error)
  drawn = [np.random.default_rng(seed).permutation(examples) for seed in seeds]
  random = np.random.default_rng(len(seeds))
  picks = random.integers(0, len(seeds), (len(weights), len(seeds)))
  return [
    {
      "budget": budget,
      "examples": count,
      **_one(
        exact,
        best[:count],
        ours[:count],
        [order[:count] for order in drawn],
        weights,
        picks,
      ),
    }
    for budget, count in zip(budgets, counts, strict=True)
  ]


def _chosen(
  kernel: Float32[np.ndarray, "i j"], selector: cover.Cover, count: int
) -> Int[np.ndarray, " k"]:
  # Its targets need not be its examples.
  named = Kernel(kernel, records=(QUERIES, pairwise.POOL))
  return selector.choose(named, count=count, seed=0).examples


def _one(
  exact, best, ours, drawn, weights: bootstrap.Weights, picks
) -> dict[str, Any]:
  covers = [_covered(exact, some) for some in (best, ours)]
  chance = np.stack([_covered(exact, some) for some in drawn])
  return {
    "jaccard": _jaccard(ours, best),
    "jaccard_of_random": float(np.mean([_jaccard(s, best) for s in drawn])),
    "objective": float(covers[1].sum()),
    "objective_of_exact": float(covers[0].sum()),
    "objective_of_random": {
      "mean": float(chance.sum(axis=1).mean()),
      "lowest": float(chance.sum(axis=1).min()),
      "highest": float(chance.sum(axis=1).max()),
      "seeds": len(drawn),
    },
    "share_of_exact": bootstrap.share(covers[1], covers[0], weights),
    "against_random": _against(covers[1], chance, weights, picks),
  }


def _against(
  ours: Float64[np.ndarray, " i"],
  chance: Float64[np.ndarray, "s i"],
  weights: bootstrap.Weights,
  picks: Int[np.ndarray, "b s"],
) -> dict[str, Any]:
  """Ours less the mean of the random sets; both are drawn anew, and targets."""
  values = weights @ chance.T
  mean = np.take_along_axis(values, picks, axis=1).mean(axis=1)
  bounds = bootstrap.interval(weights @ ours - mean)
  verdict = "undecided"
  # The draws of one seed alone say nothing of those of others.
  if len(chance) < 2:
    bounds = None
  elif bounds[0] > 0:
    verdict = "above"
  elif bounds[1] < 0:
    verdict = "below"
  return {
    "difference": float(ours.sum() - chance.sum(axis=1).mean()),
    "interval": bounds,
    "verdict": verdict,
  }


def _covered(
  exact: Float32[np.ndarray, "i j"], some: Int[np.ndarray, " k"]
) -> Float64[np.ndarray, " i"]:
  return np.maximum(exact[:, some].max(axis=1), 0).astype(np.float64)


def _jaccard(some: np.ndarray, others: np.ndarray) -> float:
  both = np.intersect1d(some, others).size
  return both / np.union1d(some, others).size
