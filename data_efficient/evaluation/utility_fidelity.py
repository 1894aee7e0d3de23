# SPDX-License-Identifier: Apache-2.0
"""How near cheap utility kernels come to the exact one, and what that costs.

On held-back pairs, those that the approximation did not compute: correlations
and errors. And on what a kernel is for: the sets that facility location chooses
by both, how many examples these share, and what the cheap one's is worth by the
exact kernel, beside sets drawn at random.

All intervals are percentiles, 95%, of bootstrap samples of the targets; the
examples and the sets that were chosen are taken as given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from data_efficient.data import manifests, utility_kernels
from data_efficient.data.utility_blocks import Axis, PairStatus
from data_efficient.data.utility_kernels import UtilityKernel
from data_efficient.evaluation import bootstrap, selection_fidelity
from data_efficient.selection import cover


class FidelityError(ValueError):
  """Kernels that cannot be compared."""


class Settings(NamedTuple):
  """How kernels are compared.

  Attributes:
    selector: what chooses, of one kernel.
    transform: of what it reads: "clip", "exp" or "raw".
    budgets: fractions of the examples, in (0, 1].
    seeds: of the random sets.
    resamples: bootstrap samples, from 100.
    seed: of these.
  """

  selector: cover.Cover
  transform: str
  budgets: Sequence[float]
  seeds: Sequence[int]
  resamples: int
  seed: int


class Pairs(NamedTuple):
  """The pairs that two kernels share.

  Attributes:
    exact: utilities, float32.
    cheap: what the approximation says; 0 where it says nothing.
    scored: whether the exact kernel has a value that counts.
    held_back: whether the approximation said it without computing it.
    computed: whether it computed it.
  """

  exact: Float32[np.ndarray, "i j"]
  cheap: Float32[np.ndarray, "i j"]
  scored: Bool[np.ndarray, "i j"]
  held_back: Bool[np.ndarray, "i j"]
  computed: Bool[np.ndarray, "i j"]


def compare(
  exact: UtilityKernel,
  cheap: Mapping[str, UtilityKernel],
  settings: Settings,
) -> dict[str, Any]:
  """Compares approximations with an exact kernel.

  Records are matched by their text, so that the exact kernel may be of a sample
  of the targets and examples, from other files.

  Args:
    exact: every pair computed.
    cheap: what a table calls an approximation -> its kernel; also that of
      another model, all of whose pairs are held back.
    settings: how.

  Returns:
    JSON-able: {"exact": its size, "approximations": [for each its "name",
    "kind", "pairs", "held_back" (correlations and errors; null where nothing
    was predicted), "best_kept" and "selections"]}.

  Raises:
    FidelityError: another distance, fewer than two records in common, an
      approximation in the place of the exact kernel or the other way round,
      or settings out of range.
  """
  _check(exact, settings)
  return {
    "exact": {"shape": list(exact.shape), "pairs": exact.scored},
    "transform": settings.transform,
    "approximations": [
      {"name": name, **_compared(name, exact, kernel, settings)}
      for name, kernel in cheap.items()
    ],
  }


def _check(exact: UtilityKernel, settings: Settings) -> None:
  if "approximation" in exact.identity:
    raise FidelityError(
      "EXACT is an approximation itself: name a kernel that was made without"
    )
  wrong = [budget for budget in settings.budgets if not 0 < budget <= 1]
  if wrong or not settings.budgets or not settings.seeds:
    raise FidelityError(
      f"budgets {tuple(settings.budgets)}, seeds {tuple(settings.seeds)}: "
      "expected at least one of each, and budgets above 0, up to 1"
    )
  if settings.resamples < 100:
    raise FidelityError(
      f"resamples = {settings.resamples}: expected at least 100 for percentiles"
    )
  if settings.transform not in utility_kernels.TRANSFORMS:
    raise FidelityError(
      f"transform = {settings.transform!r}: expected one of "
      f"{sorted(utility_kernels.TRANSFORMS)}"
    )


def _compared(
  name: str, exact: UtilityKernel, cheap: UtilityKernel, settings: Settings
) -> dict[str, Any]:
  differs = manifests.differences(
    cheap.identity["scorer"], exact.identity["scorer"]
  )
  one, other = (k.identity["scorer"].get("distance") for k in (exact, cheap))
  if one != other:
    raise FidelityError(
      f"{name}: utilities of the distance {other!r}, the exact ones are of "
      f"{one!r}: they have no scale in common"
    )
  pairs = _pairs(name, exact, cheap, asked=not differs)
  weights = bootstrap.drawn(
    len(pairs.exact), resamples=settings.resamples, seed=settings.seed
  )
  return {
    "kind": _kind(cheap, differs),
    "settings": cheap.identity.get("approximation"),
    "scorer_differs": differs,
    "pairs": {
      "shape": list(pairs.exact.shape),
      "computed": int(pairs.computed.sum()),
      "held_back": int(pairs.held_back.sum()),
      "without_value": int(
        (pairs.scored & ~pairs.held_back & ~pairs.computed).sum()
      ),
    },
    "held_back": _held_back(pairs, weights),
    "best_kept": _best_kept(pairs, weights),
    "selections": selection_fidelity.compare(
      _read(pairs.exact, pairs.scored, settings),
      _read(pairs.cheap, pairs.held_back | pairs.computed, settings),
      selector=settings.selector,
      budgets=settings.budgets,
      seeds=settings.seeds,
      weights=weights,
    ),
  }


def _kind(cheap: UtilityKernel, differs: Sequence[str]) -> str:
  found = cheap.identity.get("approximation", {}).get("name", "")
  if differs:
    return f"{found}, other scorer" if found else "other scorer"
  return found


def _pairs(
  name: str, exact: UtilityKernel, cheap: UtilityKernel, *, asked: bool
) -> Pairs:
  """The pairs in common.

  Args:
    name: of the approximation.
    exact: the exact kernel.
    cheap: the other one.
    asked: whether what it computed it computed by the same scorer.
  """
  rows = _places(exact.targets, cheap.targets)
  columns = _places(exact.examples, cheap.examples)
  here = np.ix_(*(np.flatnonzero(p >= 0) for p in (rows, columns)))
  there = rows[rows >= 0], columns[columns >= 0]
  if min(map(len, there)) < 2:
    raise FidelityError(
      f"{name} and the exact kernel share {len(there[0])} targets and "
      f"{len(there[1])} examples, by their text: expected at least 2 of each"
    )
  scored = exact.statuses()[here] == PairStatus.SCORED
  statuses = cheap.statuses()[np.ix_(*there)]
  said = statuses == PairStatus.PREDICTED
  computed = scored & (statuses == PairStatus.SCORED)
  held_back = scored & said
  if not asked:
    held_back, computed = held_back | computed, np.zeros_like(computed)
  if computed.sum() == scored.sum():
    raise FidelityError(
      f"{name} computed every pair that the exact kernel has: there is nothing "
      "to compare"
    )
  return Pairs(
    exact.read("raw")[here], _values(cheap, *there), scored, held_back, computed
  )


def _places(axis: Axis, other: Axis) -> Int[np.ndarray, " n"]:
  """Where each record stands on another axis; −1: nowhere."""
  known: dict[int, int] = {}
  for place, text in enumerate(other.fingerprints.tolist()):
    known.setdefault(text, place)
  return np.array([known.get(t, -1) for t in axis.fingerprints.tolist()], int)


def _values(
  kernel: UtilityKernel, rows: np.ndarray, columns: np.ndarray
) -> Float32[np.ndarray, "i j"]:
  """Some rows and columns, read block by block."""
  found = np.zeros((len(rows), len(columns)), np.float32)
  for block in kernel.blocks("raw"):
    inside = [
      np.flatnonzero((places >= part.start) & (places < part.stop))
      for places, part in ((rows, block.targets), (columns, block.examples))
    ]
    within = (
      rows[inside[0]] - block.targets.start,
      columns[inside[1]] - block.examples.start,
    )
    found[np.ix_(*inside)] = block.values[np.ix_(*within)]
  return found


def _read(
  values: Float32[np.ndarray, "i j"],
  counts: Bool[np.ndarray, "i j"],
  settings: Settings,
) -> Float32[np.ndarray, "i j"]:
  """What a selector reads: 0 where there is no value that counts."""
  kept = utility_kernels.TRANSFORMS[settings.transform](values)
  return np.where(counts, kept, np.float32(0.0)).astype(np.float32)


def _held_back(
  pairs: Pairs, weights: bootstrap.Weights
) -> dict[str, Any] | None:
  held = pairs.held_back
  if not held.any():
    return None
  exact, cheap = (v[held].astype(np.float64) for v in pairs[:2])
  rows = np.nonzero(held)[0]
  deviation = float(exact.std())
  error = float(np.sqrt(np.mean((exact - cheap) ** 2)))
  return {
    "pearson": bootstrap.correlation(exact, cheap, rows, weights),
    "spearman": bootstrap.correlation(
      _ranks(exact), _ranks(cheap), rows, weights
    ),
    "pearson_within_targets": bootstrap.correlation(
      exact, cheap, rows, weights, within=True
    ),
    "root_mean_square_error": error,
    "standard_deviation": deviation,
    "variance_explained": 1 - (error / deviation) ** 2 if deviation else None,
  }


def _ranks(values: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
  """From all pairs, once: not anew in each bootstrap sample."""
  from scipy import stats

  return stats.rankdata(values)


def _best_kept(pairs: Pairs, weights: bootstrap.Weights) -> dict[str, Any]:
  """What each target's best example by the approximation is worth.

  Of what the exactly best one is worth, summed over targets: what facility
  location would keep of its sum, had it no budget but one example a target.
  """
  exact = np.where(pairs.scored, np.maximum(pairs.exact, 0), 0)
  known = pairs.held_back | pairs.computed
  guess = np.where(known, pairs.cheap, -np.inf).argmax(axis=1)
  kept = exact[np.arange(len(exact)), guess] * known.any(axis=1)
  return bootstrap.share(kept, exact.max(axis=1), weights)
