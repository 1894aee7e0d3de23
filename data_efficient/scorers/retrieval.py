# SPDX-License-Identifier: Apache-2.0
"""The examples nearest to a query, by cosine of their prompts' embeddings.

What a subset is worth to a model that is not tuned: the nearest of its records
stand before the query (DELIFT, arXiv 2411.04425, Section 5: five of them).
"""

import collections
import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from data_efficient.kernels import neighbours
from data_efficient.scorers import approximations, interface


class RetrievalError(ValueError):
  """Examples that none can be taken of."""


class Records(NamedTuple):
  """Queries, or examples.

  Attributes:
    prompts: what is embedded.
    keys: of each record, what makes another one its copy: two that have one of
      these in common are never shown to one another.
  """

  prompts: Sequence[str]
  keys: Sequence[Sequence[Hashable]]


class Near(NamedTuple):
  """An example for a query.

  Attributes:
    number: of the example.
    cosine: of both prompts' embeddings.
  """

  number: int
  cosine: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval:
  """Finds examples.

  Attributes:
    embedder: any scorer that embeds texts (gin/scorers/embedding.gin).
    count: examples a query, from 1; fewer where there are no others.
  """

  embedder: interface.Scorer
  count: int

  def __post_init__(self):
    """Raises RetrievalError for a count below 1."""
    if self.count < 1:
      raise RetrievalError(f"count = {self.count}: expected at least 1")

  def identity(self) -> dict[str, Any]:
    """What the choice depends on, beside the records, JSON-able."""
    return {"embedder": self.embedder.identity(), "count": self.count}

  def nearest(self, queries: Records, examples: Records) -> list[list[Near]]:
    """Examples of each query, nearest first; of equal ones the first first.

    Never a copy of the query, nor an example without an embedding.

    Raises:
      RetrievalError: there is no example, or none has an embedding.
    """
    if not len(examples.prompts):
      raise RetrievalError(
        "there is no example to show: select more, or bind EXAMPLES = None for "
        "queries without any"
      )
    asked, shown = approximations.embedded(
      self.embedder, queries.prompts, examples.prompts
    )
    usable = np.flatnonzero(shown.any(axis=1))
    if not len(usable):
      raise RetrievalError(
        f"none of {len(shown):,} examples has an embedding: their prompts are "
        "empty, or the embedder's checkpoint is damaged"
      )
    keys = [examples.keys[number] for number in usable.tolist()]
    copies = _most_copies(queries.keys, keys)
    found = neighbours.nearest(
      asked, shown[usable], count=min(self.count + copies, len(usable))
    )
    return [
      self._others(own, keys, usable, row, cosines)
      for own, row, cosines in zip(
        queries.keys, found.row, found.cosine, strict=True
      )
    ]

  def _others(
    self,
    own: Sequence[Hashable],
    keys: Sequence[Sequence[Hashable]],
    usable: np.ndarray,
    rows: np.ndarray,
    cosines: Float32[np.ndarray, " k"],
  ) -> list[Near]:
    own = set(own)
    found = [
      Near(int(usable[row]), float(cosine))
      for row, cosine in zip(rows, cosines, strict=True)
      if own.isdisjoint(keys[row])
    ]
    return found[: self.count]


def _most_copies(
  queries: Sequence[Sequence[Hashable]], examples: Sequence[Sequence[Hashable]]
) -> int:
  """How many examples are copies of one query, at most."""
  counts = collections.Counter(key for keys in examples for key in set(keys))
  return max((sum(counts[key] for key in own) for own in queries), default=0)
