# SPDX-License-Identifier: Apache-2.0
"""The verb `score`: a corpus and a scorer to a score set, part by part."""

import collections
import itertools
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from data_efficient import progress
from data_efficient.cli import cost
from data_efficient.cli import scope as scopes
from data_efficient.data import prepared, records, score_set_writer, score_sets
from data_efficient.scorers import interface, runner

_BLOCK = 1024


def score(
  *,
  corpus: prepared.Prepared,
  scorer: interface.Scorer,
  output: str,
  splits: Sequence[str] | str | None,
  embeddings: str | None = None,
) -> None:
  """Scores the records of some splits, or all; others are `not_requested`.

  Args:
    corpus: what is scored.
    scorer: how.
    output: directory of the score set.
    splits: names of the splits that are scored; None for all records, with no
      splits made. A scorer that looks at the pool before then sees all.
    embeddings: directory of the embedding set, for scorers that read vectors.

  Raises:
    ValueError: see `CorpusError`, `ArtifactError` and the scorer's own.
  """
  scope = scopes.of(corpus, splits)
  index = corpus.index
  reader = _reader(corpus, scope, scorer, embeddings)
  identity = {
    "corpus": index.describe(),
    "splits": scope.identity(),
    "scorer": scorer.identity(),
    "inputs": reader.identity(),
    "numerics": {"backend": jax.default_backend(), "precision": "float32"},
  }
  with (
    score_set_writer.ScoreSetWriter(
      output,
      identity=identity,
      shards=index.shards,
      part_records=scorer.part_records,
    ) as writer,
  ):
    if writer.complete:
      print(f"{output}: done before")
      return
    with cost.measured(output):
      scorer.prepare(_shown(reader.stream, scope, scorer.name))
      _score_parts(writer, index, scope.mask(), scorer, reader)
      writer.finish(scorer=scorer.name)
  print(f"{output}: {score_sets.ScoreSet.open(output).scored:,} records scored")


def _shown(stream: interface.Read, scope, name: str) -> interface.Read:
  """A scorer's passes over splits, each under a bar."""
  passes = collections.Counter()

  def read(split: str):
    passes[split] += 1
    label = f"{name}: pass {passes[split]} over {split}"
    with progress.bar(label, total=scope.records(split)) as advance:
      for block in stream(split):
        yield block
        advance(len(block))

  return read


def _score_parts(writer, index, requested, scorer, reader) -> None:
  parts = writer.missing_parts()
  fingerprints = index.column("fingerprint")
  total = sum(part.records for part in parts)
  with progress.bar(f"score {scorer.name}", total=total) as advance:
    for part, batch in reader.parts(parts):
      rows = slice(part.start, part.start + part.records)
      known = fingerprints[part.shard][rows]
      reader.check(part, batch, known)
      scores = runner.score_part(scorer, batch, requested[part.shard][rows])
      writer.write(
        part,
        fingerprints=known,
        statuses=scores.statuses,
        columns=scores.columns,
      )
      advance(part.records)


def _reader(corpus, scope, scorer, embeddings: str | None):
  if scorer.reads is interface.Reads.TEXT:
    return _Texts(corpus, scope)
  if embeddings is None:
    raise ValueError(
      f"the scorer {scorer.name!r} reads embeddings: give --gin.EMBEDDINGS=DIR "
      "(made by `score` with gin/scorers/embedding.gin)"
    )
  return _Vectors(corpus, scope, embeddings)


class _Texts:
  """Hands a scorer the texts of a corpus."""

  def __init__(self, corpus: prepared.Prepared, scope: scopes.Scope):
    self._corpus, self._scope = corpus, scope

  def identity(self) -> dict:
    return {"kind": "text"}

  def stream(self, split: str) -> Iterator[list[str]]:
    texts = self._scope.texts(split)
    while block := list(itertools.islice(texts, _BLOCK)):
      yield block

  def parts(self, parts):
    """Each part's texts; a shard is read once, whatever its parts."""
    for shard, group in itertools.groupby(parts, key=lambda part: part.shard):
      records_, at = None, 0
      for part in group:
        if records_ is None or part.start != at:
          records_ = self._corpus.corpus.read(shard, part.start)
        batch = [r.text for r in itertools.islice(records_, part.records)]
        at = part.start + part.records
        yield part, batch

  def check(self, part, batch: Sequence[str], known: np.ndarray) -> None:
    """Refuses a corpus that changed after it was indexed."""
    for row, (text, fingerprint) in enumerate(zip(batch, known, strict=False)):
      if records.fingerprint(text) != fingerprint:
        raise ValueError(
          f"shard {part.shard}, row {part.start + row}: the text is not the "
          "one that was indexed; the corpus changed: start in a new directory"
        )
    if len(batch) != part.records:
      raise ValueError(
        f"shard {part.shard}: {part.start + len(batch)} rows, expected at "
        f"least {part.start + part.records}; the corpus changed since it was "
        "indexed: start in a new directory"
      )


class _Vectors:
  """Hands a scorer the vectors of an embedding set."""

  def __init__(
    self, corpus: prepared.Prepared, scope: scopes.Scope, directory: str
  ):
    self._scope = scope
    self._set = score_sets.ScoreSet.open(directory)
    self._set.check_corpus(corpus.index.describe())
    self._vectors = self._set.read(["embedding"])["embedding"]

  def identity(self) -> dict:
    return {"kind": "embedding", "embedding": self._set.identity["scorer"]}

  def stream(self, split: str) -> Iterator[np.ndarray]:
    for shard, positions in self._scope.positions(split).items():
      vectors = self._vectors[shard][positions]
      # A record that could not be embedded has NaN; scorers say so of it.
      for start in range(0, len(vectors), _BLOCK):
        yield vectors[start : start + _BLOCK]

  def parts(self, parts):
    for part in parts:
      rows = slice(part.start, part.start + part.records)
      yield part, self._vectors[part.shard][rows]

  def check(self, part, batch, known) -> None:
    """Nothing: the score set was checked as a whole."""
