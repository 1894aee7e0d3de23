# SPDX-License-Identifier: Apache-2.0
"""Instructions as a prepared corpus: its pool is named, nothing is split off.

Pre-training splits its evaluation text off a corpus; instructions are split
before (`instruction_splits`), or lie in files of their own.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from data_efficient import processes
from data_efficient.data import prepared, selections
from data_efficient.data import splits as splitting

_POOL = splitting.NAMES[0]
_NONE = np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True)
class InstructionPool(prepared.Prepared):
  """All records of a corpus, or those of a selection, are its pool.

  Attributes:
    policy: none.
    pool: directory of a selection of the corpus, which the pool is; None: all
      records.
  """

  policy: splitting.Policy | None = None
  pool: str | None = None

  @functools.cached_property
  def splits(self) -> splitting.Splits:
    """The pool, and three sets without a record.

    Raises:
      ArtifactError: `pool` is of another corpus.
    """
    with processes.first_alone("splits"):
      found = {
        name: splitting.Split(self.corpus, self._selection(name))
        for name in splitting.NAMES
      }
    return splitting.Splits(**found)

  def _selection(self, name: str) -> selections.Selection:
    """What a set keeps, written once."""
    described = self.index.describe()
    identity = {"corpus": described, "split": name}
    kept = [(shard, _NONE, _NONE) for shard in described["shards"]]
    if name == _POOL:
      identity["pool"], kept = self._pool(described)
    records = sum(len(positions) for _, positions, _ in kept)
    return selections.write(
      pathlib.Path(self.directory, "splits", name),
      identity=identity,
      kept=kept,
      shards=described["shards"],
      summary=lambda: {"records": records},
    )

  def _pool(self, described: dict) -> tuple[dict | None, list[tuple]]:
    if self.pool is None:
      everything = described["shards"].items()
      return None, [
        (shard, np.arange(records), np.ones(records))
        for shard, records in everything
      ]
    found = selections.Selection.open(self.pool)
    found.check_corpus(described)
    return found.identity, [
      (shard, found.positions(shard), found.weights(shard))
      for shard in found.shards
    ]
