# SPDX-License-Identifier: Apache-2.0
"""Pool, reference text and evaluation sets, split by group before all else.

Each record of a corpus goes to exactly one of

* `hq`: well-edited records of held-out groups; what a run is judged on;
* `in_distribution`: records of other held-out groups, mixed as the pool is;
* `reference`: well-edited records of groups of their own, that a scorer may
  learn from;
* `pool`: what may be selected and trained on;

or is excluded. Groups are drawn by a hash of (seed, group), so that a module
or a book is never torn apart; and whatever in pool or reference repeats an
evaluation record, in whole or for half of its word 8-grams, is excluded too.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from data_efficient.data import artifacts, selections, split_plan
from data_efficient.data.corpora import Corpus
from data_efficient.data.corpus_index import CorpusIndex
from data_efficient.data.records import Record
from data_efficient.data.selections import Selection
from data_efficient.data.split_plan import NAMES, Policy, Source

__all__ = ("NAMES", "Policy", "Source", "Split", "Splits", "assign")


class Split(NamedTuple):
  """One of the sets: which records of which corpus.

  Attributes:
    corpus: the corpus at hand or, for `hq` and `reference`, the separate one.
    selection: its records.
  """

  corpus: Corpus
  selection: Selection

  def read(self) -> Iterator[tuple[str, Record]]:
    """Yields (shard, record) in the corpus's order."""
    for shard in self.selection.shards:
      kept = self.selection.mask(shard)
      if kept.any():
        for record in self.corpus.read(shard):
          if kept[record.position]:
            yield shard, record

  def texts(self) -> Iterator[str]:
    """Yields the texts in the corpus's order."""
    return (record.text for _, record in self.read())


class Splits(NamedTuple):
  """The four sets; `summary` has the counts and why records are excluded."""

  pool: Split
  reference: Split
  hq: Split
  in_distribution: Split

  @property
  def summary(self) -> dict[str, Any]:
    """Records of each set, and excluded ones by reason."""
    return self.pool.selection.summary


def assign(
  corpus: Corpus,
  index: CorpusIndex,
  policy: Policy,
  directory: artifacts.PathLike,
  *,
  edited: Source | None = None,
) -> Splits:
  """Splits a corpus; does nothing but open the splits if they are there.

  Args:
    corpus: the corpus.
    index: its index.
    policy: how.
    directory: gets a selection for each of `NAMES`.
    edited: a separate corpus of well-edited text: then all of `hq` and
      `reference` comes from it, by the same shares, and none from `corpus`.

  Raises:
    CorpusError: no record is well edited, or a set would be empty; says which
      patterns were tried and which sources there are.
    ArtifactError: other splits lie there.
  """
  directory = pathlib.Path(directory)
  main = Source(corpus, index)
  sources = {name: split_plan.source_of(name, main, edited) for name in NAMES}
  identities = {
    name: {
      "corpus": sources[name].index.describe(),
      "split": name,
      "policy": dataclasses.asdict(policy),
      "of": index.describe(),
      "edited": edited.index.describe() if edited else None,
    }
    for name in NAMES
  }
  if not _there(directory, identities):
    plan = split_plan.Plan(policy, main, edited)
    for name in NAMES:
      selections.write(
        directory / name,
        identity=identities[name],
        kept=plan.kept(name, sources[name].index),
        shards=sources[name].index.shards,
        summary=plan.summary,
      )
  return Splits(
    *(
      Split(sources[name].corpus, Selection.open(directory / name))
      for name in NAMES
    )
  )


def _there(
  directory: pathlib.Path, identities: Mapping[str, dict[str, Any]]
) -> bool:
  done = [
    artifacts.is_complete(directory / name, kind=selections.KIND)
    for name in NAMES
  ]
  for name, identity in identities.items():
    if (directory / name / "manifest.json").exists():
      found = artifacts.read_manifest(
        directory / name, kind=selections.KIND, complete=False
      )
      artifacts.check_identity(directory / name, found.identity, identity)
  return all(done)
