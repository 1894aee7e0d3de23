# SPDX-License-Identifier: Apache-2.0
"""The parts of a score set through a scorer: here, or by a Beam pipeline.

Whoever scores a part writes it as any other would, so that where they are
scored changes no byte.
"""

import dataclasses
import functools
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from data_efficient import progress
from data_efficient.cli import hardware, reading
from data_efficient.cli import scope as scopes
from data_efficient.data import corpus_index, score_set_writer, score_sets
from data_efficient.scorers import interface, runner
from data_efficient.selection import passes

# Neighbours that one worker scores: a compressed shard is read from its first
# record to the one that is asked for.
_TOGETHER = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """What has to be known to score any part; goes to other machines.

  Attributes:
    output: directory of the score set.
    identity: of the score set.
    index: of the corpus.
    scope: which records are scored.
    scorer: how; prepared.
    reader: of the records.
    unreadable_is_unscorable: see `score.score`.
  """

  output: str
  identity: dict[str, Any]
  index: corpus_index.CorpusIndex
  scope: scopes.Scope
  scorer: interface.Scorer
  reader: reading.Reader
  unreadable_is_unscorable: bool

  def writer(self, member: int) -> score_set_writer.ScoreSetWriter:
    """Opens the score set, as one of several."""
    return score_set_writer.ScoreSetWriter(
      self.output,
      identity=self.identity,
      shards=self.index.shards,
      part_records=self.scorer.part_records,
      member=member,
    )

  def score(
    self,
    writer: score_set_writer.ScoreSetWriter,
    parts: Sequence[score_sets.PartKey],
    advance: progress.Advance,
  ) -> dict[str, str]:
    """Scores parts and writes them.

    Args:
      writer: of the score set.
      parts: which.
      advance: is told the records of each part that is written.

    Returns:
      shard to why it could not be read.
    """
    requests = reading.Requests(
      self.reader,
      fingerprints=lambda shard: self.index.shard_column(shard, "fingerprint"),
      requested=self.scope.mask,
      keep_unreadable=self.unreadable_is_unscorable,
    )
    for request, scores in runner.run(self.scorer, requests.of(parts)):
      part, readable = request.key
      statuses = scores.statuses
      if not readable:
        statuses = [interface.unscorable("unreadable")] * part.records
      writer.write(
        part,
        fingerprints=requests.fingerprints(part),
        statuses=statuses,
        columns=scores.columns,
      )
      advance(part.records)
    return requests.failed


# Scores parts by whatever machines; returns what `Job.score` does.
Execute = Callable[
  [Job, score_set_writer.ScoreSetWriter, Sequence[score_sets.PartKey]],
  dict[str, str],
]


def here(
  job: Job,
  writer: score_set_writer.ScoreSetWriter,
  parts: Sequence[score_sets.PartKey],
) -> dict[str, str]:
  """`Execute`: by this process and its devices."""
  total = sum(part.records for part in parts)
  with progress.bar(f"score {job.scorer.name}", total=total) as advance:
    return job.score(writer, parts, advance)


def elsewhere(each: passes.Each) -> Execute:
  """`Execute` by the workers of a pipeline, on this kind of hardware.

  Args:
    each: see `pipelines.each`.
  """

  def execute(job, writer, parts):
    del writer  # a worker has its own
    runs = _runs(parts)
    score_run = functools.partial(_score_run, job, runs, hardware.numerics())
    failed = {}
    for shards, reasons in each(score_run, len(runs)):
      failed |= zip(shards.tolist(), reasons.tolist(), strict=True)
    return failed

  return execute


def _score_run(
  job: Job,
  runs: Sequence[tuple[str, int, int]],
  numerics: dict[str, str],
  number: int,
) -> tuple[np.ndarray, np.ndarray]:
  """On a worker: scores a run; the shards that failed, and why."""
  hardware.check(numerics)
  shard, first, stop = runs[number]
  size, records = job.scorer.part_records, job.index.shards[shard]
  parts = [
    score_sets.PartKey(shard, n, n * size, min(size, records - n * size))
    for n in range(first, stop)
  ]
  # A run that is given out twice is written twice, by two members.
  with job.writer(1 + secrets.randbits(60)) as writer:
    failed = job.score(writer, parts, lambda records: None)
  return np.array([*failed], str), np.array([*failed.values()], str)


def _runs(parts: Sequence[score_sets.PartKey]) -> list[tuple[str, int, int]]:
  """Parts as runs of neighbours: shard, first part, the one after the last."""
  found: list[tuple[str, int, int]] = []
  for part in parts:
    shard, first, stop = found[-1] if found else ("", 0, 0)
    follows = (shard, stop) == (part.shard, part.number)
    if follows and stop - first < _TOGETHER:
      found[-1] = shard, first, part.number + 1
    else:
      found.append((part.shard, part.number, part.number + 1))
  return found


class Passes:
  """A scorer's passes over splits, as `interface.Read`.

  Under a bar in the process that made it; quietly elsewhere, and there only on
  the same kind of hardware.

  Args:
    reader: of the records.
    scope: whose splits they are.
    name: of the scorer.
  """

  def __init__(self, reader: reading.Reader, scope: scopes.Scope, name: str):
    self._reader, self._scope, self._name = reader, scope, name
    self._numerics = hardware.numerics()
    self._begun: dict[str, int] = {}
    self._away = False

  def __getstate__(self) -> dict[str, Any]:
    """What goes to another process."""
    return {**self.__dict__, "_away": True}

  def __call__(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[Sequence[str] | np.ndarray]:
    """The records of a run of a split; see `scope.Scope`."""
    if self._away:
      hardware.check(self._numerics)
      yield from self._reader.stream(split, start, stop)
      return
    self._begun[split] = self._begun.get(split, 0) + 1
    label = f"{self._name}: pass {self._begun[split]} over {split}"
    total = len(range(self._scope.records(split))[start:stop])
    with progress.bar(label, total=total) as advance:
      for block in self._reader.stream(split, start, stop):
        yield block
        advance(len(block))
