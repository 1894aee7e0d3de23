# SPDX-License-Identifier: Apache-2.0
"""Landmark examples: computed for all targets; other columns from theirs.

Some examples are computed for all targets, and some targets for all examples.
On these targets each example's column is explained by those of the landmarks,
by ridge regression, and what was found is carried to the other targets: the
utilities of an example are what its likes, in utility, have (a sketched CUR
decomposition; Mahoney & Drineas 2009, "CUR matrix decompositions"). Without
such targets an example is what its likes in the embedding are: kernel ridge
regression with cosines, target by target.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from data_efficient.scorers import interface
from data_efficient.scorers.approximations import (
  ApproximationError,
  Known,
  Records,
  Rectangle,
)

CHOICES = ("kmeans", "random")
# Ridges that are tried, of the mean eigenvalue.
_RIDGES = np.logspace(-4, 3, 15)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Landmarks:
  """Predicts from some columns, and some rows.

  Attributes:
    embedder: of the records' texts.
    examples: landmarks, from 2.
    targets: that are computed for all examples; 0 or from 4.
    choice: of both: "kmeans", the records nearest to centroids of the
      embeddings, or "random".
    seed: of the choice.
    name: in identities and tables.
  """

  embedder: interface.Scorer
  examples: int
  targets: int
  choice: str
  seed: int
  name: str = "landmarks"

  def __post_init__(self):
    """Raises ApproximationError for settings out of range."""
    if self.choice not in CHOICES:
      raise ApproximationError(
        f"choice = {self.choice!r}: expected one of {CHOICES}"
      )
    if self.examples < 2 or self.targets != 0 and self.targets < 4:
      raise ApproximationError(
        f"{self.examples} landmark examples, {self.targets} targets: expected "
        "at least 2 examples, and no target or at least 4"
      )

  def identity(self) -> dict[str, Any]:
    """All that predictions depend on, beside the records and the scorer."""
    return {
      "name": self.name,
      "embedder": self.embedder.identity(),
      "examples": self.examples,
      "targets": self.targets,
      "choice": self.choice,
      "seed": self.seed,
    }

  def rectangles(self, targets: Records, examples: Records) -> list[Rectangle]:
    """The landmarks' columns, and the rows of some targets."""
    every = [np.flatnonzero(axis.scorable) for axis in (targets, examples)]
    columns = self._chosen(examples, self.examples, "examples")
    found = [Rectangle(every[0], columns)]
    if self.targets:
      rows = self._chosen(targets, self.targets, "targets")
      found.append(Rectangle(rows, np.setdiff1d(every[1], columns)))
    return found

  def fit(
    self, known: Sequence[Known], targets: Records, examples: Records
  ) -> "Columns":
    """Weights of the landmarks' columns for every example."""
    columns = known[0].rectangle.examples
    values = np.zeros((len(targets.scorable), len(columns)))
    mean = np.zeros(len(targets.scorable))
    rows = known[0].rectangle.targets
    mean[rows], values[rows] = _centred(known[0].values, known[0].counts)
    if len(known) > 1:
      weights = self._by_rows(known[1], values, mean, examples)
    else:
      weights = _by_cosines(values[rows], examples.vectors, columns)
    return Columns(values, mean, weights)

  def _chosen(
    self, records: Records, count: int, what: str
  ) -> Int[np.ndarray, " k"]:
    usable = np.flatnonzero(records.scorable & records.vectors.any(axis=1))
    if len(usable) <= count:
      raise ApproximationError(
        f"{count} landmark {what} of {len(usable)} that can be scored: expected"
        " fewer; compute all pairs, or lower the number"
      )
    random = np.random.default_rng(self.seed)
    if self.choice == "random":
      return np.sort(random.choice(usable, count, replace=False))
    vectors = records.vectors[usable]
    centres = _centres(vectors, count, self.seed)
    chosen = usable[np.unique((vectors @ centres.T).argmax(axis=0))]
    # Two centroids may have the same record, or copies, nearest to them.
    rest = random.permutation(np.setdiff1d(usable, chosen))
    return np.sort(np.concatenate([chosen, rest[: count - len(chosen)]]))

  def _by_rows(
    self,
    known: Known,
    values: Float64[np.ndarray, "n l"],
    mean: Float64[np.ndarray, " n"],
    examples: Records,
  ) -> Float64[np.ndarray, "p m"]:
    rows, others = known.rectangle
    # What a target has on average is known of all; an example's own level is
    # what the ones are for.
    parts = np.concatenate([values[rows], np.ones((len(rows), 1))], axis=1)
    wanted = np.where(known.counts, known.values - mean[rows, None], 0.0)
    found = np.zeros((parts.shape[1], len(examples.scorable)))
    found[:, others] = ridge(parts, wanted)
    return found


def _centres(
  vectors: Float32[np.ndarray, "n d"], count: int, seed: int
) -> Float32[np.ndarray, "k d"]:
  """Directions of clusters."""
  from sklearn import cluster

  kmeans = cluster.KMeans(count, n_init=1, random_state=seed)
  found = kmeans.fit(vectors).cluster_centers_
  norms = np.linalg.norm(found, axis=1, keepdims=True)
  return (found / np.maximum(norms, 1e-12)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Columns:
  """Predictions: columns of landmarks, mixed.

  Attributes:
    values: theirs, from each target's mean, [n, l].
    mean: of each target over the landmarks [n].
    weights: [l, m], or with a level [l + 1, m].
  """

  values: Float64[np.ndarray, "n l"]
  mean: Float64[np.ndarray, " n"]
  weights: Float64[np.ndarray, "p m"]

  def predict(
    self, targets: slice, examples: slice
  ) -> Float32[np.ndarray, "r c"]:
    """Utilities of a block."""
    count = self.values.shape[1]
    found = self.values[targets] @ self.weights[:count, examples]
    found += self.mean[targets, None]
    found += self.weights[count:, examples].sum(axis=0)
    return found.astype(np.float32)


def ridge(
  parts: Float64[np.ndarray, "t p"], wanted: Float64[np.ndarray, "t m"]
) -> Float64[np.ndarray, "p m"]:
  """Weights W of parts · W ≈ wanted, with the ridge that predicts best.

  Best of each row from the others (leave-one-out, in closed form), the same for
  all columns.
  """
  left, sizes, right = np.linalg.svd(parts, full_matrices=False)
  inner = left.T @ wanted
  power = sizes**2
  errors = []
  for share in _RIDGES * power.mean():
    kept = power / (power + share)
    fitted = left @ (kept[:, None] * inner)
    leverage = np.minimum((left**2 * kept).sum(axis=1), 1 - 1e-9)
    errors.append(np.sum(((wanted - fitted) / (1 - leverage)[:, None]) ** 2))
  best = _RIDGES[int(np.argmin(errors))] * power.mean()
  return right.T @ ((sizes / (power + best))[:, None] * inner)


def _by_cosines(
  values: Float64[np.ndarray, "r l"],
  vectors: Float32[np.ndarray, "m d"],
  columns: Int[np.ndarray, " l"],
) -> Float64[np.ndarray, "l m"]:
  """Kernel ridge regression over examples; leave-one-out over landmarks."""
  cosines = vectors[columns].astype(np.float64) @ vectors[columns].T
  power, axes = np.linalg.eigh(cosines)
  power = np.maximum(power, 0)
  inner = values @ axes
  errors = []
  for share in _RIDGES:
    inverse = 1 / (power + share)
    residual = (inner * inverse) @ axes.T
    errors.append(np.sum((residual / (axes**2 @ inverse)) ** 2))
  inverse = 1 / (power + _RIDGES[int(np.argmin(errors))])
  return (axes * inverse) @ (axes.T @ (vectors[columns] @ vectors.T))


def _centred(
  values: Float32[np.ndarray, "r c"], counts: Bool[np.ndarray, "r c"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "r c"]]:
  """Means of what counts, and differences from them; 0 where nothing does."""
  if not counts.any():
    raise ApproximationError(
      "no landmark has a utility for any target: nothing to learn from"
    )
  kept = np.where(counts, values, 0).astype(np.float64)
  mean = kept.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
  return mean, np.where(counts, kept - mean[:, None], 0.0)
