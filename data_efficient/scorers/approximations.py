# SPDX-License-Identifier: Apache-2.0
"""Fewer pairs computed: which ones, and what is said of the others.

An approximation plans, from embeddings of the records' texts, which pairs a
model is asked for. `Neighbours` says nothing of the others, `landmarks` and
`influence_network` predict them from rectangles of targets × examples that are
computed before. Rectangles and columns, and not pairs here and there, since
every example is read once for all of its targets.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt64

from data_efficient.kernels import neighbours
from data_efficient.scorers import interface, vectors


class ApproximationError(ValueError):
  """Records, or settings, that nothing can be approximated from."""


class Records(NamedTuple):
  """What is known of the records of an axis without a model.

  Attributes:
    vectors: at unit norm; zero where there is none.
    fingerprints: of their texts.
    scorable: whether they can have a utility.
  """

  vectors: Float32[np.ndarray, "n d"]
  fingerprints: UInt64[np.ndarray, " n"]
  scorable: Bool[np.ndarray, " n"]


class Rectangle(NamedTuple):
  """Pairs that are computed: all of some targets with all of some examples.

  Attributes:
    targets: ascending.
    examples: ascending.
  """

  targets: Int[np.ndarray, " r"]
  examples: Int[np.ndarray, " c"]


class Known(NamedTuple):
  """A rectangle that was computed.

  Attributes:
    rectangle: where.
    values: utilities; NaN where there is none.
    counts: where there is one, of two different records.
  """

  rectangle: Rectangle
  values: Float32[np.ndarray, "r c"]
  counts: Bool[np.ndarray, "r c"]


@runtime_checkable
class Predictor(Protocol):
  """What is said of pairs that are not computed."""

  def predict(
    self, targets: slice, examples: slice
  ) -> Float32[np.ndarray, "r c"]:
    """Utilities of a block."""


@runtime_checkable
class Surrogate(Protocol):
  """Learns from rectangles, predicts the rest.

  Attributes:
    name: in identities and tables.
    embedder: of the records' texts.
  """

  name: str
  embedder: interface.Scorer

  def identity(self) -> dict[str, Any]:
    """All that its predictions depend on, beside the records and the scorer."""

  def rectangles(self, targets: Records, examples: Records) -> list[Rectangle]:
    """What is to be computed.

    Raises:
      ApproximationError: too few records.
    """

  def fit(
    self, known: Sequence[Known], targets: Records, examples: Records
  ) -> Predictor:
    """Learns from what was computed.

    Raises:
      ApproximationError: nothing to learn from.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbours:
  """Each target's nearest examples are computed, by cosine; no others.

  A record is no neighbour of itself, nor of its copies: they show the answer.

  Attributes:
    embedder: of the records' texts.
    count: neighbours a target, from 1.
    name: in identities and tables.
  """

  embedder: interface.Scorer
  count: int
  name: str = "neighbours"

  def __post_init__(self):
    """Raises ApproximationError for a number below 1."""
    if self.count < 1:
      raise ApproximationError(
        f"{self.count} neighbours a target: expected at least 1"
      )

  def identity(self) -> dict[str, Any]:
    """All that the candidates depend on, beside the records."""
    return {
      "name": self.name,
      "embedder": self.embedder.identity(),
      "count": self.count,
    }

  def candidates(
    self, targets: Records, examples: Records
  ) -> Int[np.ndarray, "n k"]:
    """The examples that are computed for each target; −1: none.

    Of equally near ones the first. Unscorable records have none and are none.

    Raises:
      ApproximationError: no example has a vector.
    """
    usable = examples.scorable & examples.vectors.any(axis=1)
    columns = np.flatnonzero(usable)
    found = np.full((len(targets.vectors), self.count), -1, np.int64)
    if not len(columns):
      raise ApproximationError(
        f"{self.embedder.name} has no vector of any example: use another "
        "embedder"
      )
    texts = examples.fingerprints[columns]
    copies = np.unique(texts, return_counts=True)[1].max()
    # So many more that enough are left without the copies.
    count = int(min(self.count + copies, len(columns)))
    near = neighbours.nearest(
      targets.vectors, examples.vectors[columns], count=count
    ).row
    other = texts[near] != targets.fingerprints[:, None]
    order = np.argsort(~other, axis=1, kind="stable")[:, : self.count]
    kept = columns[np.take_along_axis(near, order, axis=1)]
    kept[~np.take_along_axis(other, order, axis=1)] = -1
    kept[~(targets.scorable & targets.vectors.any(axis=1))] = -1
    found[:, : kept.shape[1]] = kept
    return found


def embedded(
  embedder: interface.Scorer,
  targets: Sequence[str],
  examples: Sequence[str],
) -> tuple[Float32[np.ndarray, "n d"], Float32[np.ndarray, "m d"]]:
  """Vectors of both axes at unit norm; zero of a text that has none.

  Args:
    embedder: prepared with the examples' texts, where it wants to see any.
    targets: texts.
    examples: texts.
  """
  embedder.prepare(lambda _: iter([list(examples)]))
  same = list(targets) == list(examples)
  second = _vectors(embedder, examples)
  return (second if same else _vectors(embedder, targets)), second


def _vectors(
  embedder: interface.Scorer, texts: Sequence[str]
) -> Float32[np.ndarray, "n d"]:
  parts = []
  for start in range(0, len(texts), embedder.part_records):
    scores = embedder.score(texts[start : start + embedder.part_records])
    part = np.array(scores.columns["embedding"], np.float32)
    scored = [status == interface.SCORED for status in scores.statuses]
    part[~np.array(scored) | ~vectors.usable(part)] = 0
    norms = np.linalg.norm(part, axis=1, keepdims=True)
    parts.append(part / np.where(norms > 0, norms, 1))
  return np.concatenate(parts)


def within(
  numbers: Int[np.ndarray, " k"], part: slice
) -> tuple[Int[np.ndarray, " i"], Int[np.ndarray, " i"]]:
  """Which of some ascending numbers lie in a slice, and where in it."""
  first, last = np.searchsorted(numbers, [part.start, part.stop])
  chosen = np.arange(first, last)
  return chosen, numbers[chosen] - part.start
