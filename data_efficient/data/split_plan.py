# SPDX-License-Identifier: Apache-2.0
"""Which record goes to which set: the rules behind `splits`."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash

from data_efficient import progress
from data_efficient.data import overlap, records
from data_efficient.data.corpora import Corpus, CorpusError
from data_efficient.data.corpus_index import CorpusIndex
from data_efficient.data.split_policy import Kind, Policy

NAMES = ("pool", "reference", "hq", "in_distribution")
_EVALUATION = ("hq", "in_distribution")
_MAX_OVERLAP = 0.5

_Key = tuple[str, int]  # shard, position


class Source(NamedTuple):
  """A corpus and its index."""

  corpus: Corpus
  index: CorpusIndex


class Sources(NamedTuple):
  """Where the sets are taken from.

  Attributes:
    main: the corpus; whatever has no corpus of its own comes from it.
    edited: a separate corpus of well-edited text: then all of `hq` and
      `reference` is taken from it.
    in_distribution: a separate corpus for that set: then all of it is the set.
  """

  main: Source
  edited: Source | None = None
  in_distribution: Source | None = None

  def of(self, name: str) -> Source:
    """Returns the corpus that a set is taken from."""
    if name == "in_distribution":
      return self.in_distribution or self.main
    if name in ("hq", "reference"):
      return self.edited or self.main
    return self.main


class Plan:
  """Works the splits out: by group, then by maxima, then by overlap.

  Attributes:
    summary: records of each set, and excluded ones by reason.

  Args:
    policy: how.
    sources: from what.

  Raises:
    CorpusError: no record is well edited, a pattern matches nothing, the same
      file is in two corpora, or a set would be empty.
  """

  def __init__(self, policy: Policy, sources: Sources):
    self._policy = policy
    self._sources = sources
    self._excluded: Counter[str] = Counter()
    self._sets: dict[str, set[_Key]] = {name: set() for name in NAMES}
    _check_roles(sources)
    if sources.edited:
      policy.check_separate()
      self._assign_edited(sources.edited)
    if sources.in_distribution:
      labels = _labels(sources.in_distribution.index)
      self._sets["in_distribution"] = {row.key for row in labels}
    self._assign_main(sources.main)
    for name in (*_EVALUATION, "reference"):
      self._without_repeats(name)
      self._cut(name)
    self._without_overlap()
    self._check()
    counts = {name: len(self._sets[name]) for name in NAMES}
    self.summary = {"records": counts, "excluded": dict(self._excluded)}

  def kept(
    self, name: str, index: CorpusIndex
  ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields shards, positions and weights of a set for `selections.write`."""
    found: dict[str, list[int]] = {shard: [] for shard in index.shards}
    for shard, position in self._sets[name]:
      found[shard].append(position)
    for shard, positions in found.items():
      ordered = np.array(sorted(positions), np.int64)
      yield shard, ordered, np.ones(len(positions))

  def _assign_main(self, main: Source) -> None:
    labels = list(_labels(main.index))
    kinds = {row.source: Kind.PLAIN for row in labels}
    if not self._sources.edited:
      kinds = self._policy.kinds(kinds, corpus=main.index.name)
    documented = {
      row.group for row in labels if kinds[row.source] is Kind.REFERENCE
    }
    for row in labels:
      name = self._set_of(
        row, kind=kinds[row.source], documented=row.group in documented
      )
      if name in self._sets:
        self._sets[name].add(row.key)
      else:
        self._excluded[name] += 1

  def _set_of(self, row: "_Label", *, kind: Kind, documented: bool) -> str:
    """Returns a record's set, or why it is excluded."""
    if kind is Kind.HQ:
      return "hq"
    policy = self._policy
    draw = self._uniform(row.group)
    edited = kind is Kind.REFERENCE
    if not self._sources.edited and draw < policy.evaluation_share / 2:
      return "hq" if edited else "other text of an hq group"
    thinned = edited and (
      self._uniform(records.record_id(*row.key))
      >= policy.pool_share_of_reference
    )
    if draw < policy.evaluation_share:
      name = "pool" if self._sources.in_distribution else "in_distribution"
      return "thinned" if thinned else name
    reference = policy.evaluation_share + policy.reference_share
    if documented and draw < reference:
      return "reference" if edited else "other text of a reference group"
    return "thinned" if thinned else "pool"

  def _assign_edited(self, edited: Source) -> None:
    policy = self._policy
    whole = policy.evaluation_share + policy.reference_share
    for row in _labels(edited.index):
      draw = self._uniform(row.group) * whole
      name = "hq" if draw < policy.evaluation_share else "reference"
      self._sets[name].add(row.key)

  def _without_repeats(self, name: str) -> None:
    """Keeps the first of the records with the same text."""
    seen: set[int] = set()
    index = self._sources.of(name).index
    fingerprints = progress.over(
      _fingerprints(index), f"split: repeats in {name}", total=index.records
    )
    for key, fingerprint in fingerprints:
      if key in self._sets[name]:
        if fingerprint in seen:
          self._sets[name].remove(key)
          self._excluded[f"repeated in {name}"] += 1
        seen.add(fingerprint)

  def _cut(self, name: str) -> None:
    maximum = getattr(self._policy, f"{name}_records")
    ordered = sorted(
      self._sets[name],
      key=lambda key: (self._uniform(records.record_id(*key)), key),
    )
    self._sets[name] = set(ordered[:maximum])
    self._excluded[f"more than {name}_records"] += len(ordered[maximum:])

  def _without_overlap(self) -> None:
    texts = [
      text for name in _EVALUATION for _, text in self._texts(name, "read")
    ]
    fingerprints = {records.fingerprint(text) for text in texts}
    grams = overlap.Grams(texts)
    for name in ("reference", "pool"):
      for key, text in self._texts(name, "compare"):
        if records.fingerprint(text) in fingerprints:
          reason = f"{name}: same text as an evaluation record"
        elif grams.overlap(text) >= _MAX_OVERLAP:
          reason = f"{name}: half in common with evaluation text"
        else:
          continue
        self._sets[name].remove(key)
        self._excluded[reason] += 1

  def _texts(self, name: str, verb: str) -> Iterator[tuple[_Key, str]]:
    """Yields a set's texts; what was yielded may be removed from it."""
    corpus, index = self._sources.of(name)
    wanted = {shard for shard, _ in self._sets[name]}
    shards = {s: n for s, n in index.shards.items() if s in wanted}
    found = (
      (shard, record) for shard in shards for record in corpus.read(shard)
    )
    for shard, record in progress.over(
      found, f"split: {verb} {name}", total=sum(shards.values())
    ):
      if (shard, record.position) in self._sets[name]:
        yield (shard, record.position), record.text

  def _check(self) -> None:
    empty = [name for name in NAMES if not self._sets[name]]
    if not empty:
      return
    main = self._sources.main.index
    emptied = [
      name
      for name in empty
      if any(reason.startswith(f"{name}: ") for reason in self._excluded)
    ]
    advice = (
      "raise evaluation_share or reference_share, or bring more text"
      if not emptied
      else f"all that {' and '.join(emptied)} had repeats text of the "
      "evaluation sets, in whole or for half: is the same text named as pool "
      "and as evaluation set? Name other files for one of them"
    )
    raise CorpusError(
      f"no record is left for {', '.join(empty)} of the {main.records} records "
      f"of {main.name!r}: {advice}; excluded: {dict(self._excluded)}"
    )

  def _uniform(self, text: str) -> float:
    seed = self._policy.seed
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), seed=seed) / 2.0**64


def _check_roles(sources: Sources) -> None:
  """Refuses a file of the in-distribution corpus that has another role too."""
  if not sources.in_distribution:
    return
  known = {
    _digest(sources.in_distribution.index, shard): shard
    for shard, count in sources.in_distribution.index.shards.items()
    if count
  }
  others = {"the pool": sources.main, "HQ and reference": sources.edited}
  for role, source in others.items():
    for shard in source.index.shards if source else ():
      if same := known.get(_digest(source.index, shard)):
        raise CorpusError(
          f"{shard!r} is a file of {role}, and its records are those of "
          f"{same!r} of the in-distribution evaluation set: what a run is "
          "evaluated on cannot be learned from. Name it in one place only, or "
          "name no in-distribution corpus: then a part of the pool is held out"
        )


def _digest(index: CorpusIndex, shard: str) -> bytes:
  return xxhash.xxh3_128_digest(
    index.shard_column(shard, "fingerprint").tobytes()
  )


class _Label(NamedTuple):
  key: _Key
  source: str
  group: str


def _labels(index: CorpusIndex) -> Iterator[_Label]:
  return progress.over(
    _each_label(index), f"split: groups of {index.name}", total=index.records
  )


def _each_label(index: CorpusIndex) -> Iterator[_Label]:
  sources, groups = index.column("source"), index.column("group")
  for shard in index.shards:
    pairs = zip(sources[shard], groups[shard], strict=True)
    for position, (source, group) in enumerate(pairs):
      group = group or records.record_id(shard, position)
      yield _Label((shard, position), source, group)


def _fingerprints(index: CorpusIndex) -> Iterator[tuple[_Key, int]]:
  for shard, values in index.column("fingerprint").items():
    for position, value in enumerate(values.tolist()):
      yield (shard, position), value
