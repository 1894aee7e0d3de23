# SPDX-License-Identifier: Apache-2.0
"""Which record goes to which set: the rules behind `splits`."""

import dataclasses
import fnmatch
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xxhash

from data_efficient.data import overlap, records
from data_efficient.data.corpora import Corpus, CorpusError
from data_efficient.data.corpus_index import CorpusIndex

NAMES = ("pool", "reference", "hq", "in_distribution")
# Installed text; then the sources of common public corpora that editors saw.
REFERENCE_SOURCES = (
  *("numpy/docstring", "scipy/docstring", "python/docstring"),
  *("*wikipedia*", "*Wikipedia*", "wikitext*", "enwiki*", "gutenberg*"),
  *("state_union*", "inaugural*", "sci_abstracts*", "arxiv*", "peps*"),
)
HQ_SOURCES = ("pydoc_topics/*",)
_MAX_OVERLAP = 0.5

_Key = tuple[str, int]  # shard, position


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
  """How a corpus is split.

  Raises CorpusError when it is made with a share or maximum out of range.

  Attributes:
    evaluation_share: share of the groups held out for evaluation, half of
      them for each set; in (0, 1).
    reference_share: share of the groups, among those with well-edited text,
      whose well-edited records are the reference text; in (0, 1).
    pool_share_of_reference: share of the well-edited records of the other
      groups that stay in the pool (and in `in_distribution`), in [0, 1]: 1
      for a corpus as it is, less for one enriched with such text.
    hq_records: records of `hq` at most.
    in_distribution_records: records of `in_distribution` at most.
    reference_records: records of `reference` at most.
    seed: of the hashes.
    reference_sources: patterns (`fnmatch`) of the sources that are well
      edited.
    hq_sources: patterns of the sources that are `hq` in full.
  """

  evaluation_share: float
  reference_share: float
  pool_share_of_reference: float
  hq_records: int
  in_distribution_records: int
  reference_records: int
  seed: int
  reference_sources: Sequence[str] = REFERENCE_SOURCES
  hq_sources: Sequence[str] = HQ_SOURCES

  def __post_init__(self):
    held_out = self.evaluation_share + self.reference_share
    maxima = (
      self.hq_records,
      self.in_distribution_records,
      self.reference_records,
    )
    if (
      min(self.evaluation_share, self.reference_share) <= 0
      or held_out >= 1
      or not 0 <= self.pool_share_of_reference <= 1
      or min(maxima) < 1
    ):
      raise CorpusError(
        f"{self}: evaluation_share and reference_share must be above 0 and "
        "below 1 in all, pool_share_of_reference in [0, 1], maxima above 0"
      )


class Source(NamedTuple):
  """A corpus and its index."""

  corpus: Corpus
  index: CorpusIndex


def source_of(name: str, main: Source, edited: Source | None) -> Source:
  """Returns the corpus that a set is taken from."""
  return edited if edited and name in ("hq", "reference") else main


class Plan:
  """Works the splits out: by group, then by maxima, then by overlap.

  Attributes:
    summary: records of each set, and excluded ones by reason.

  Args:
    policy: how.
    main: the corpus.
    edited: a separate corpus of well-edited text, or None.

  Raises:
    CorpusError: no record is well edited, or a set would be empty.
  """

  def __init__(self, policy: Policy, main: Source, edited: Source | None):
    self._policy = policy
    self._excluded: Counter[str] = Counter()
    self._sets: dict[str, set[_Key]] = {name: set() for name in NAMES}
    self._edited = edited
    if edited:
      self._assign_edited(edited)
    self._assign_main(main)
    for name in ("hq", "in_distribution", "reference"):
      source = source_of(name, main, edited)
      self._without_repeats(name, source)
      self._cut(name)
    self._without_overlap(main, edited)
    self._check(main)
    counts = {name: len(self._sets[name]) for name in NAMES}
    self.summary = {"records": counts, "excluded": dict(self._excluded)}

  def kept(
    self, name: str, index: CorpusIndex
  ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns positions and weights of a set for `selections.write`."""
    found: dict[str, list[int]] = {shard: [] for shard in index.shards}
    for shard, position in self._sets[name]:
      found[shard].append(position)
    return {
      shard: (
        np.array(sorted(positions), np.int64),
        np.ones(len(positions), np.float32),
      )
      for shard, positions in found.items()
    }

  def _assign_main(self, main: Source) -> None:
    labels = list(_labels(main.index))
    matches = {
      source: self._kind(source) for source in {row.source for row in labels}
    }
    documented = {
      row.group for row in labels if matches[row.source] == "reference"
    }
    if not self._edited and not set(matches.values()) & {"hq", "reference"}:
      raise CorpusError(_no_match(main, self._policy, matches))
    for row in labels:
      name = self._set_of(
        row, kind=matches[row.source], documented=row.group in documented
      )
      if name in self._sets:
        self._sets[name].add(row.key)
      else:
        self._excluded[name] += 1

  def _kind(self, source: str) -> str:
    if self._edited:
      return "plain"
    if _matches(source, self._policy.hq_sources):
      return "hq"
    edited = _matches(source, self._policy.reference_sources)
    return "reference" if edited else "plain"

  def _set_of(self, row: "_Label", *, kind: str, documented: bool) -> str:
    """Returns a record's set, or why it is excluded."""
    if kind == "hq":
      return "hq"
    policy = self._policy
    draw = self._uniform(row.group)
    edited = kind == "reference"
    if not self._edited and draw < policy.evaluation_share / 2:
      return "hq" if edited else "other text of an hq group"
    thinned = edited and (
      self._uniform(records.record_id(*row.key))
      >= policy.pool_share_of_reference
    )
    if draw < policy.evaluation_share:
      return "thinned" if thinned else "in_distribution"
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

  def _without_repeats(self, name: str, source: Source) -> None:
    """Keeps the first of the records with the same text."""
    seen: set[int] = set()
    for key, fingerprint in _fingerprints(source.index):
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

  def _without_overlap(self, main: Source, edited: Source | None) -> None:
    wanted = ("hq", "in_distribution")
    texts = [
      text
      for name in wanted
      for _, text in self._texts(name, source_of(name, main, edited))
    ]
    fingerprints = {records.fingerprint(text) for text in texts}
    grams = overlap.Grams(texts)
    for name in ("reference", "pool"):
      source = source_of(name, main, edited)
      for key, text in list(self._texts(name, source)):
        if records.fingerprint(text) in fingerprints:
          reason = f"{name}: same text as an evaluation record"
        elif grams.overlap(text) >= _MAX_OVERLAP:
          reason = f"{name}: half in common with evaluation text"
        else:
          continue
        self._sets[name].remove(key)
        self._excluded[reason] += 1

  def _texts(self, name: str, source: Source) -> Iterator[tuple[_Key, str]]:
    shards = {shard for shard, _ in self._sets[name]}
    for shard in source.index.shards:
      if shard in shards:
        for record in source.corpus.read(shard):
          if (shard, record.position) in self._sets[name]:
            yield (shard, record.position), record.text

  def _check(self, main: Source) -> None:
    empty = [name for name in NAMES if not self._sets[name]]
    if empty:
      raise CorpusError(
        f"no record is left for {', '.join(empty)} of the "
        f"{main.index.records} records of {main.index.name!r}: raise "
        "evaluation_share or reference_share, or bring more text; excluded: "
        f"{dict(self._excluded)}"
      )

  def _uniform(self, text: str) -> float:
    seed = self._policy.seed
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"), seed=seed) / 2.0**64


class _Label(NamedTuple):
  key: _Key
  source: str
  group: str


def _labels(index: CorpusIndex) -> Iterator[_Label]:
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


def _matches(source: str, patterns: Sequence[str]) -> bool:
  return any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)


def _no_match(main: Source, policy: Policy, sources: Mapping[str, str]) -> str:
  names = ", ".join(sorted(sources)[:30])
  tried = ", ".join([*policy.reference_sources, *policy.hq_sources])
  return (
    f"no record of {main.index.name!r} is known to be well edited, so there is "
    f"nothing to teach a judge with and to evaluate on. Patterns tried: "
    f"{tried}. Sources of this corpus: {names}. Set Policy.reference_sources "
    "to patterns that match some, or name a separate corpus of edited text"
  )
