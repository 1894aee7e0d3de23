# SPDX-License-Identifier: Apache-2.0
"""How a corpus is split: shares, maxima, and which sources are well edited."""

import dataclasses
import enum
import fnmatch
from collections.abc import Collection, Sequence

from data_efficient.data.corpora import CorpusError

_SHOWN = 30  # sources in a message


class Kind(enum.Enum):
  """What the patterns say of a source."""

  PLAIN = "plain"
  REFERENCE = "reference"  # well edited
  HQ = "hq"  # well edited, and held out in full


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
    reference_sources: a pattern (`fnmatch`), or several, of the sources that
      are well edited; each must match one.
    hq_sources: the same, of the sources that are `hq` in full.
    usual_sources: what is well edited where neither of them says so; one of
      these patterns must match.
  """

  evaluation_share: float
  reference_share: float
  pool_share_of_reference: float
  hq_records: int
  in_distribution_records: int
  reference_records: int
  seed: int
  reference_sources: str | Sequence[str]
  hq_sources: str | Sequence[str]
  usual_sources: str | Sequence[str]

  def __post_init__(self):
    for name in ("reference_sources", "hq_sources", "usual_sources"):
      # A text's letters would be patterns too, and "*" matches everything.
      if isinstance(patterns := getattr(self, name), str):
        object.__setattr__(self, name, (patterns,))
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

  def kinds(self, sources: Collection[str], *, corpus: str) -> dict[str, Kind]:
    """Returns what each source is.

    Args:
      sources: all sources of the corpus.
      corpus: its name, for messages.

    Raises:
      CorpusError: a pattern that matches no source, or no source is known to
        be well edited.
    """
    self._check_patterns(sources, corpus)
    edited = self.reference_sources
    if not edited and not self.hq_sources:
      edited = self.usual_sources
    found = {source: Kind.PLAIN for source in sources}
    found |= {source: Kind.REFERENCE for source in _matching(sources, edited)}
    found |= {source: Kind.HQ for source in _matching(sources, self.hq_sources)}
    if set(found.values()) <= {Kind.PLAIN}:
      raise CorpusError(
        f"no record of {corpus!r} is known to be well edited, so there is "
        "nothing to teach a judge with and to evaluate on. Patterns tried: "
        f"{', '.join(edited)}. {_said(sources)}. Give patterns of your own "
        "(--gin.REFERENCE_SOURCES=\"('wiki*',)\"), or a separate corpus of "
        "well-edited text (gin/data/hq_files.gin). Only to score, no splits "
        "are needed: --gin.SCORED_SPLITS=None"
      )
    return found

  def check_separate(self) -> None:
    """Refuses patterns beside a separate corpus of well-edited text.

    Raises:
      CorpusError: both say what is well edited.
    """
    for name in ("reference_sources", "hq_sources"):
      if patterns := getattr(self, name):
        raise CorpusError(
          f"{name.upper()} = {tuple(patterns)}, but all well-edited text comes "
          "from a separate corpus: give the patterns or that corpus, not both"
        )

  def _check_patterns(self, sources: Collection[str], corpus: str) -> None:
    for name in ("reference_sources", "hq_sources"):
      for pattern in getattr(self, name):
        if not _matching(sources, [pattern]):
          raise CorpusError(
            f"{name.upper()}: the pattern {pattern!r} matches no source of "
            f"{corpus!r}. {_said(sources)}"
          )


def _matching(
  sources: Collection[str], patterns: Sequence[str]
) -> Sequence[str]:
  return [
    source
    for source in sources
    if any(fnmatch.fnmatchcase(source, pattern) for pattern in patterns)
  ]


def _said(sources: Collection[str]) -> str:
  names = sorted(sources)
  more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
  return f"Sources of this corpus: {', '.join(names[:_SHOWN])}{more}"
