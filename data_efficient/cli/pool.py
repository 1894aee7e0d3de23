# SPDX-License-Identifier: Apache-2.0
"""Which kinds of the pool's records a selection keeps: repeated, rare, …"""

import pathlib
from collections import Counter

import numpy as np

from data_efficient.data import prepared, score_sets, selections
from data_efficient.evaluation import inclusion


def sources(corpus: prepared.Prepared) -> dict[str, int]:
  """Records of the pool by source."""
  column, mask = corpus.index.column("source"), corpus.mask(["pool"])
  counts: Counter[str] = Counter()
  for shard, labels in column.items():
    counts.update(labels[mask[shard]].tolist())
  return dict(counts)


class Groups:
  """The pool's fingerprints and densities, read once for all selections."""

  def __init__(self, corpus: prepared.Prepared, density: pathlib.Path | None):
    """Reads fingerprints, and the densities of a score set if one is named."""
    self._pool = corpus.mask(["pool"])
    self._fingerprints = self._of_pool(corpus.index.column("fingerprint"))
    self._densities = None
    if density:
      scores = score_sets.ScoreSet.open(density).read(["score"])["score"]
      self._densities = self._of_pool(scores)

  def inclusion(self, selection: selections.Selection) -> dict:
    """Kind -> share of its records that the selection keeps."""
    return inclusion.inclusion(
      self._of_pool({s: selection.mask(s) for s in selection.shards}),
      fingerprints=self._fingerprints,
      densities=self._densities,
    )

  def _of_pool(self, column) -> np.ndarray:
    return np.concatenate(
      [column[shard][mask] for shard, mask in self._pool.items()]
    )
