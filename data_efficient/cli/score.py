# SPDX-License-Identifier: Apache-2.0
"""The verb `score`: a corpus and a scorer to a score set, part by part.

Several processes (`processes`) share the parts of one score set: which process
scores a part does not change its bytes.
"""

import collections
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient import processes, progress
from data_efficient.cli import cost, hardware, reading
from data_efficient.cli import scope as scopes
from data_efficient.data import (
  prepared,
  score_set_writer,
  score_sets,
  sketches,
)
from data_efficient.scorers import interface, runner


def score(
  *,
  corpus: prepared.Prepared,
  scorer: interface.Scorer,
  output: str,
  splits: Sequence[str] | str | None,
  selection: str | None = None,
  embeddings: str | None = None,
  embedder: interface.Scorer | None = None,
  unreadable_is_unscorable: bool = False,
  resume_elsewhere: bool = False,
) -> None:
  """Scores the records of some splits, or all; others are `not_requested`.

  Args:
    corpus: what is scored.
    scorer: how.
    output: directory of the score set.
    splits: names of the splits that are scored; None for all records, with no
      splits made. A scorer that looks at the pool before then sees all.
    selection: directory of a selection, outside of which nothing is scored.
    embeddings: directory of the embedding set, for scorers that read vectors.
    embedder: what makes the vectors anew in every pass, in place of a set.
    unreadable_is_unscorable: whether the records of a shard that cannot be
      read any more get the status "unscorable(unreadable)". Otherwise the
      other shards are scored, and the score set stays unfinished.
    resume_elsewhere: whether to go on with a score set that other hardware
      began; their scores agree within 1e-5, not in every bit.

  Raises:
    UnreadableError: shards that could not be read, with the reason of each;
      all others are scored.
    ValueError: see `CorpusError`, `ArtifactError` and the scorer's own.
  """
  processes.join()
  scope = scopes.of(corpus, splits, selection)
  index = corpus.index
  reader = reading.reader_of(corpus, scope, scorer, embeddings, embedder)
  identity = _identity(index, scope, scorer, reader)
  if resume_elsewhere:
    identity = hardware.as_begun(identity, output)
  with contextlib.ExitStack() as stack:
    with processes.first_alone("score set opened"):
      writer = stack.enter_context(
        score_set_writer.ScoreSetWriter(
          output,
          identity=identity,
          shards=index.shards,
          part_records=scorer.part_records,
          member=processes.index(),
        )
      )
      missing = writer.missing_parts()
    # Nobody writes before all have seen what is missing.
    processes.wait("parts listed")
    if writer.complete:
      print(f"{output}: done before")
      return
    requests = reading.Requests(
      reader,
      fingerprints=lambda shard: index.shard_column(shard, "fingerprint"),
      requested=scope.mask(),
      keep_unreadable=unreadable_is_unscorable,
    )
    if processes.is_first():
      sketches.keep_beside(output, scorer, identity)
    with cost.measured(output):
      scorer.prepare(_shown(reader.stream, scope, scorer.name))
      _score_parts(writer, scorer, requests, _share(missing))
      processes.wait("parts written")
      writer.merge(share=processes.index(), of=processes.count())
      processes.wait("parts merged")
    _report(requests.failed, given_up=unreadable_is_unscorable)
    if not processes.is_first():
      return
    writer.finish(scorer=scorer.name)
  print(f"{output}: {score_sets.ScoreSet.open(output).scored:,} records scored")


def _identity(index, scope, scorer, reader) -> dict[str, Any]:
  """All that a score set depends on."""
  return {
    "corpus": index.describe(),
    "splits": scope.identity(),
    "scorer": scorer.identity(),
    "inputs": reader.identity(),
    "numerics": hardware.numerics(),
  }


def _share(parts: list[score_sets.PartKey]) -> list[score_sets.PartKey]:
  """This process's parts: neighbours, so that few shards are read twice."""
  count, index = processes.count(), processes.index()
  return parts[len(parts) * index // count : len(parts) * (index + 1) // count]


def _score_parts(
  writer: score_set_writer.ScoreSetWriter,
  scorer: interface.Scorer,
  requests: reading.Requests,
  parts: list[score_sets.PartKey],
) -> None:
  total = sum(part.records for part in parts)
  with progress.bar(f"score {scorer.name}", total=total) as advance:
    for request, scores in runner.run(scorer, requests.of(parts)):
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


def _report(failed: Mapping[str, str], *, given_up: bool) -> None:
  """Says which shards could not be read; raises where that is an error."""
  if not failed:
    return
  lines = [f"{shard}: {reason}" for shard, reason in failed.items()]
  message = f"{len(failed)} shards could not be read:\n  " + "\n  ".join(lines)
  if not given_up:
    raise reading.UnreadableError(
      f"{message}\nAll others are scored. Mend these and run again, or give "
      "their records the status unscorable(unreadable): "
      "--gin.UNREADABLE_IS_UNSCORABLE=True"
    )
  print(f"{message}\ntheir records are unscorable", file=sys.stderr)


def _shown(
  stream: interface.Read, scope: scopes.Scope, name: str
) -> interface.Read:
  """A scorer's passes over splits, each under a bar."""
  passes = collections.Counter()

  def read(split: str) -> Iterator[Sequence[str] | np.ndarray]:
    passes[split] += 1
    label = f"{name}: pass {passes[split]} over {split}"
    with progress.bar(label, total=scope.records(split)) as advance:
      for block in stream(split):
        yield block
        advance(len(block))

  return read
