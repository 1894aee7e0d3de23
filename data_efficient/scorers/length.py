# SPDX-License-Identifier: Apache-2.0
"""Length: the longest records first, a baseline that nothing should lose to.

As simple as it is, it beats many a selector of instructions (Zhao et al. 2024,
arXiv 2402.04833: the longest responses).
"""

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from data_efficient.scorers import interface
from data_efficient.scorers.templates import Instruction
from data_efficient.scorers.token_counts import Tokenizer


class Counted(enum.StrEnum):
  """What is counted: the answer, or what is asked and the answer."""

  RESPONSE = "response"
  PROMPT_AND_RESPONSE = "prompt_and_response"


@dataclasses.dataclass(kw_only=True)
class Length:
  """Scores instructions by their tokens.

  Attributes:
    tokenizer: whose tokens; its fingerprint is a part of the identity.
    counted: a value of `Counted`.
    part_records: records a part.
    name: the name of the scorer in tables.
  """

  tokenizer: Tokenizer
  counted: str
  part_records: int = 16384
  name: str = "length"

  reads = interface.Reads.INSTRUCTION

  def __post_init__(self):
    """Raises ValueError for something that cannot be counted."""
    self.counted = Counted(self.counted)

  def identity(self) -> dict:
    """The vocabulary, and what is counted."""
    return {
      "name": self.name,
      "vocabulary": self.tokenizer.fingerprint,
      "counted": str(self.counted),
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[Instruction]) -> interface.Scores:
    """Column "score", float32 [n]: tokens, without end-of-sequence.

    A record without a response is unscorable(empty response).
    """
    return interface.Scores(
      [
        interface.SCORED
        if instruction.response.strip()
        else interface.unscorable("empty response")
        for instruction in batch
      ],
      {"score": np.array([self._tokens(one) for one in batch], np.float32)},
    )

  def _tokens(self, instruction: Instruction) -> int:
    parts = [instruction.response]
    if self.counted == Counted.PROMPT_AND_RESPONSE:
      parts.append(instruction.prompt)
    return sum(len(self.tokenizer.encode(part)) for part in parts)
