# SPDX-License-Identifier: Apache-2.0
"""Tokens of each record: what budgets of tokens are counted in."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from data_efficient.scorers import interface


@runtime_checkable
class Tokenizer(Protocol):
  """The part of a tokenizer that counting needs."""

  fingerprint: str

  def encode(self, text: str) -> list[int]:
    """Piece ids of a text, without end-of-sequence."""


@dataclasses.dataclass(kw_only=True)
class TokenCounts:
  """Counts the tokens of texts.

  Attributes:
    tokenizer: whose tokens; its fingerprint is a part of the identity.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  tokenizer: Tokenizer
  part_records: int = 16384
  name: str = "token_counts"

  reads = interface.Reads.TEXT

  def identity(self) -> dict:
    """The vocabulary."""
    return {"name": self.name, "vocabulary": self.tokenizer.fingerprint}

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Column "score", float32 [n]: tokens, without end-of-sequence.

    float32 counts exactly to 2²⁴ tokens a record. An empty text has 0.
    """
    counts = [len(self.tokenizer.encode(text)) for text in batch]
    return interface.Scores(
      [interface.SCORED] * len(batch),
      {"score": np.array(counts, np.float32)},
    )
