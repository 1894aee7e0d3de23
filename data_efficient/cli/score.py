# SPDX-License-Identifier: Apache-2.0
"""The verb `score`: a corpus and a scorer to a score set, part by part.

Several processes (`processes`), or the workers of Beam pipelines, share the
parts of one score set: who scores a part does not change its bytes.
"""

import contextlib
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient import processes
from data_efficient.cli import cost, hardware, reading, scoring_parts
from data_efficient.cli import scope as scopes
from data_efficient.data import (
  pipelines,
  prepared,
  score_set_writer,
  score_sets,
  sketch_stores,
  working_directories,
)
from data_efficient.scorers import interface
from data_efficient.selection import passes


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
  beam_options: Sequence[str] | None = None,
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
    beam_options: of Apache Beam pipelines that count the sketch's parts and
      score the parts, such as '--runner=DirectRunner'; None: this process does.

  Raises:
    UnreadableError: shards that could not be read, with the reason of each;
      all others are scored.
    ValueError: see `CorpusError`, `ArtifactError`, `PipelineError` and the
      scorer's own.
  """
  processes.join()
  each = _each(beam_options, output)
  scope = scopes.of(corpus, splits, selection)
  index = corpus.index
  reader = reading.reader_of(corpus, scope, scorer, embeddings, embedder)
  identity = _identity(index, scope, scorer, reader)
  if resume_elsewhere:
    identity = hardware.as_begun(identity, output)
  job = scoring_parts.Job(
    output=str(pathlib.Path(output).absolute()),
    identity=identity,
    index=index,
    scope=scope,
    scorer=scorer,
    reader=reader,
    unreadable_is_unscorable=unreadable_is_unscorable,
  )
  with contextlib.ExitStack() as stack:
    with processes.first_alone("score set opened"):
      writer = stack.enter_context(job.writer(processes.index()))
      missing = writer.missing_parts()
    # Nobody writes before all have seen what is missing.
    processes.wait("parts listed")
    if writer.complete:
      if processes.is_first():
        working_directories.remove(output)
      print(f"{output}: done before")
      return
    with cost.measured(output):
      failed = _scored(job, writer, missing, each)
    _report(failed, given_up=unreadable_is_unscorable)
    if not processes.is_first():
      return
    writer.finish(scorer=scorer.name)
    working_directories.remove(output)
  print(f"{output}: {score_sets.ScoreSet.open(output).scored:,} records scored")


def _scored(
  job: scoring_parts.Job,
  writer: score_set_writer.ScoreSetWriter,
  missing: Sequence[score_sets.PartKey],
  each: passes.Each | None,
) -> Mapping[str, str]:
  """Prepares, scores and merges; which shards could not be read, and why."""
  scope, scorer = job.scope, job.scorer
  sketch_stores.keep_beside(
    job.output, scorer, job.identity, lambda: scope.records("pool"), each
  )
  working_directories.keep_beside(job.output, scorer, each)
  execute = scoring_parts.elsewhere(each) if each else scoring_parts.here
  scorer.prepare(scoring_parts.Passes(job.reader, scope, scorer.name))
  failed = execute(job, writer, processes.share(missing))
  processes.wait("parts written")
  writer.merge(share=processes.index(), of=processes.count())
  processes.wait("parts merged")
  return failed


def _each(options: Sequence[str] | None, output: str) -> passes.Each | None:
  """What makes passes by pipelines; None where this process makes them."""
  if not options:
    return None
  if processes.count() > 1:
    raise pipelines.PipelineError(
      "BEAM_OPTIONS are for one process, which starts the pipelines: leave out "
      f"{processes.VARIABLE}, or BEAM_OPTIONS"
    )
  return pipelines.each(options, output)


def _identity(index, scope, scorer, reader) -> dict[str, Any]:
  """All that a score set depends on."""
  return {
    "corpus": index.describe(),
    "splits": scope.identity(),
    "scorer": scorer.identity(),
    "inputs": reader.identity(),
    "numerics": hardware.numerics(),
  }


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
