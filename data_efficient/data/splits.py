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
Well-edited and in-distribution text may come from corpora of their own: none of
it is taken from the corpus at hand then, and overlap is excluded all the same.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from data_efficient.data import artifacts, selections, split_plan
from data_efficient.data.corpora import Corpus
from data_efficient.data.records import Record
from data_efficient.data.selections import Selection
from data_efficient.data.split_plan import NAMES, Source, Sources
from data_efficient.data.split_policy import Policy

__all__ = ("NAMES", "Policy", "Source", "Sources", "Split", "Splits", "assign")


class Split(NamedTuple):
  """One of the sets: which records of which corpus.

  Attributes:
    corpus: the corpus at hand, or the separate one of this set.
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
  sources: Sources, policy: Policy, directory: artifacts.PathLike
) -> Splits:
  """Splits a corpus; does nothing but open the splits if they are there.

  Args:
    sources: the corpus, and separate ones for some sets where there are.
    policy: how.
    directory: gets a selection for each of `NAMES`.

  Raises:
    CorpusError: no record is well edited, a pattern matches nothing, the same
      file is in two corpora, or a set would be empty; says which patterns were
      tried and which sources there are.
    ArtifactError: other splits lie there.
  """
  directory = pathlib.Path(directory)
  identities = {name: _identity(name, sources, policy) for name in NAMES}
  if not _there(directory, identities):
    plan = split_plan.Plan(policy, sources)
    for name in NAMES:
      index = sources.of(name).index
      selections.write(
        directory / name,
        identity=identities[name],
        kept=plan.kept(name, index),
        shards=index.shards,
        summary=lambda: plan.summary,
      )
  return Splits(
    *(
      Split(sources.of(name).corpus, Selection.open(directory / name))
      for name in NAMES
    )
  )


def _identity(name: str, sources: Sources, policy: Policy) -> dict[str, Any]:
  main, edited, in_distribution = sources
  return {
    "corpus": sources.of(name).index.describe(),
    "split": name,
    "policy": dataclasses.asdict(policy),
    "of": main.index.describe(),
    "edited": edited and edited.index.describe(),
    "in_distribution": in_distribution and in_distribution.index.describe(),
  }


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
