# SPDX-License-Identifier: Apache-2.0
"""Prompts and responses, apart, for scorers that read `Reads.INSTRUCTION`."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_efficient.cli import scope as scopes
from data_efficient.data import corpora, prepared, records
from data_efficient.data.corpora import CorpusError
from data_efficient.data.score_sets import PartKey
from data_efficient.scorers.templates import Instruction


class Instructions:
  """The instructions of a corpus.

  Args:
    corpus: of instructions, indexed.
    scope: which of them are scored.
    scorer: name of whoever reads them.

  Raises:
    ValueError: a corpus of plain texts.
  """

  def __init__(
    self, corpus: prepared.Prepared, scope: scopes.Scope, scorer: str
  ):
    if not isinstance(corpus.corpus, corpora.InstructionCorpus):
      raise ValueError(
        f"the scorer {scorer!r} reads prompts and responses apart, but the "
        f"corpus {corpus.corpus.name!r} has plain texts: bind CORPUS to files "
        "of instructions"
      )
    self._corpus, self._scope = corpus.corpus, scope

  def identity(self) -> dict[str, Any]:
    """What the score set says of it."""
    return {"kind": "instruction"}

  def stream(
    self, split: str, start: int = 0, stop: int | None = None
  ) -> Iterator[list[Instruction]]:
    """The records of a run of a split, in blocks."""
    found = self._run(split, start, stop)
    while block := list(itertools.islice(found, scopes.BLOCK)):
      yield block

  def _run(
    self, split: str, start: int, stop: int | None
  ) -> Iterator[Instruction]:
    for shard, positions in self._scope.positions(split, start, stop):
      first, last = int(positions[0]), int(positions[-1])
      kept = np.zeros(last + 1 - first, bool)
      kept[positions - first] = True
      found = self._corpus.instructions(shard, first)
      for wanted, instruction in zip(kept, found, strict=False):
        if wanted:
          yield instruction

  def shard(
    self, parts: Sequence[PartKey], fingerprints: np.ndarray
  ) -> Iterator[list[Instruction]]:
    """Yields the records of some parts, all of one shard.

    Raises:
      CorpusError: they are not the ones that were indexed.
    """
    shard, at, found = parts[0].shard, None, iter(())
    for part in parts:
      if part.start != at:
        found = zip(
          self._corpus.read(shard, part.start),
          self._corpus.instructions(shard, part.start),
          strict=True,
        )
      at = part.start + part.records
      both = list(itertools.islice(found, part.records))
      texts = [record.text for record, _ in both]
      check(part, texts, fingerprints[part.start : at])
      yield [instruction for _, instruction in both]

  def blank(self, records: int) -> list[Instruction]:
    """So many records that nobody looks at."""
    return [Instruction("", "")] * records


def check(part: PartKey, batch: Sequence[str], known: np.ndarray) -> None:
  """Refuses a corpus that changed after it was indexed."""
  for row, (text, fingerprint) in enumerate(zip(batch, known, strict=False)):
    if records.fingerprint(text) != fingerprint:
      raise CorpusError(
        f"shard {part.shard}, row {part.start + row}: the text is not the "
        "one that was indexed; the corpus changed: start in a new directory"
      )
  if len(batch) != part.records:
    raise CorpusError(
      f"shard {part.shard}: {part.start + len(batch)} rows, expected at "
      f"least {part.start + part.records}; the corpus changed since it was "
      "indexed: start in a new directory"
    )
