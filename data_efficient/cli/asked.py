# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM's inferences to a score set: what `infer` does at its end.

The columns are those of `scorers.ask_llm`, as far as their answers were asked
for. A record that is missing, or is not the one that the index knows, stops
the import: nothing is made up.
"""

import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient import processes
from data_efficient.cli import hardware, scope
from data_efficient.data import (
  artifacts,
  corpus_index,
  prepared,
  score_set_writer,
  score_sets,
)
from data_efficient.data.artifacts import ArtifactError
from data_efficient.scorers import interface, judges, questions
from data_efficient.training import inference as inferences

# Where the score set lies, in the directory of the inferences.
SCORES = "scores"


class _Shard(NamedTuple):
  """What was found of a shard's records.

  Attributes:
    values: log-probabilities, float32 [records, answers].
    found: which of them are there, bool [records, answers].
    tokens: of each document in its prompt, int32 [records].
  """

  values: np.ndarray
  found: np.ndarray
  tokens: np.ndarray


def score_set(
  *,
  inference: inferences.Inference,
  engine: inferences.Engine,
  corpus: prepared.Prepared,
  question: questions.Question,
  answers: Sequence[str],
  judge: Callable[[], judges.Judge],
  part_records: int,
) -> None:
  """Writes the score set of finished inferences; does nothing when it is there.

  Args:
    inference: of `training.asking`, done.
    engine: what did it; a part of the score set's identity.
    corpus: what was asked about.
    question: what was asked.
    answers: which of its answers were scored.
    judge: loads what was asked, for its identity.
    part_records: records a part.

  Raises:
    ArtifactError: records are missing, are there twice, or have other texts
      than when the corpus was indexed.
  """
  directory = pathlib.Path(inference.directory, SCORES)
  if artifacts.is_complete(directory, kind=score_sets.KIND):
    return
  loaded = judge()
  if not processes.is_first():
    return
  index, words = corpus.index, tuple(dict.fromkeys(answers))
  shards = _read(inference.directory, index, words)
  identity = {
    "corpus": index.describe(),
    "splits": scope.of(corpus, None, None).identity(),
    "scorer": {
      "name": "ask_llm",
      "engine": engine.name,
      "judge": loaded.identity(),
      "question": question.identity(),
      "answers": list(words),
      "windows": "head",
      "readout": "yes",
    },
    "numerics": hardware.numerics(),
  }
  score_column = words.index(question.prompt.positive)
  with score_set_writer.ScoreSetWriter(
    directory,
    identity=identity,
    shards=index.shards,
    part_records=part_records,
  ) as writer:
    for part in writer.missing_parts():
      end = part.start + part.records
      statuses, columns = _scores(
        _Shard(*(array[part.start : end] for array in shards[part.shard])),
        words,
        score_column,
      )
      known = index.shard_column(part.shard, "fingerprint")
      writer.write(
        part,
        fingerprints=known[part.start : end],
        statuses=statuses,
        columns=columns,
      )
    writer.finish(scorer="ask_llm")
  scored = score_sets.ScoreSet.open(directory).scored
  print(f"{directory}: {scored:,} records scored")


def _scores(
  part: _Shard, words: Sequence[str], score_column: int
) -> tuple[list[str], dict[str, np.ndarray]]:
  statuses = [
    interface.unscorable("empty")
    if not tokens
    else interface.SCORED
    if np.isfinite(row).all()
    else interface.unscorable("non-finite")
    for row, tokens in zip(part.values, part.tokens, strict=True)
  ]
  return statuses, {
    "score": part.values[:, score_column],
    **{f"log_p_{word}": part.values[:, n] for n, word in enumerate(words)},
    "document_tokens": part.tokens,
    "windows": (part.tokens > 0).astype(np.int32),
  }


def _read(
  directory: str, index: corpus_index.CorpusIndex, words: Sequence[str]
) -> dict[str, _Shard]:
  """All inferences by shard; every record has every answer."""
  path = pathlib.Path(directory, inferences.FILE)
  shards = {
    shard: _Shard(
      np.full((records, len(words)), np.nan, np.float32),
      np.zeros((records, len(words)), bool),
      np.zeros(records, np.int32),
    )
    for shard, records in index.shards.items()
  }
  known = index.column("fingerprint")
  for line, row in enumerate(_rows(path), 1):
    fault = _fault(row, shards, known, words)
    if fault is not None:
      raise ArtifactError(
        f"{path}, line {line}: shard {row['shard']!r}, position "
        f"{row['position']}, answer {row['answer']!r}: {fault}: infer into a "
        "new directory"
      )
    shard, at = shards[row["shard"]], row["position"]
    column = words.index(row["answer"])
    shard.found[at, column] = True
    shard.values[at, column] = row["score"]
    shard.tokens[at] = row["document_tokens"]
  _check_all_found(path, shards)
  return shards


def _fault(
  row: dict[str, Any],
  shards: dict[str, _Shard],
  known: dict[str, np.ndarray],
  words: Sequence[str],
) -> str | None:
  """Why an inference cannot be taken; None if it can."""
  shard, at = shards.get(row["shard"]), row["position"]
  if shard is None or at not in range(len(shard.values)):
    return "the corpus's index has no such record; the corpus changed"
  if row["fingerprint"] % 2**64 != known[row["shard"]][at]:
    return "the text is not the one that was indexed; the corpus changed"
  if row["answer"] not in words:
    return f"expected one of {', '.join(words)}"
  if shard.found[at, words.index(row["answer"])]:
    return "it was there before"
  return None


def _rows(path: pathlib.Path) -> Iterator[dict[str, Any]]:
  with open(path, encoding="utf-8", newline="\n") as lines:
    for line in lines:
      yield json.loads(line)


def _check_all_found(path: pathlib.Path, shards: dict[str, _Shard]) -> None:
  for name, shard in shards.items():
    missing = np.flatnonzero(~shard.found.all(axis=1))
    if missing.size:
      raise ArtifactError(
        f"{path}: {missing.size} of {len(shard.found)} records of shard "
        f"{name!r} lack an answer, the first at position {missing[0]}: infer "
        "into a new directory"
      )
