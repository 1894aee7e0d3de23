# SPDX-License-Identifier: Apache-2.0
"""Instructions as rows that a network is tuned on, in padded batches.

  begin · alone · query_alone(x) · answer(y) · end

The parts are tokenised each by itself, as for training; the loss is of the
answer and its end alone. Nothing is cut: what does not fit has a reason.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_efficient.models import encoder_decoder, networks
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import batching, defences, questions
from data_efficient.scorers.templates import Instruction, Template


class Row(NamedTuple):
  """An instruction's tokens.

  Attributes:
    inputs: what is given.
    targets: what is predicted; the end is the last.
    reason: why it cannot be scored; None where it can.
  """

  inputs: list[int]
  targets: list[int]
  reason: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerRows:
  """How instructions become rows of a network.

  Attributes:
    network: a decoder (`decoder.DecoderConfig`), or an encoder–decoder.
    tokenizer: the network's.
    template: of the texts.
    max_tokens: of a decoder's row; of an encoder–decoder's inputs, and of its
      targets.
  """

  network: networks.Network
  tokenizer: Tokenizer
  template: Template
  max_tokens: int

  @property
  def paired(self) -> bool:
    """Whether inputs and targets are apart."""
    return isinstance(self.network, encoder_decoder.T5Config)

  def row(self, instruction: Instruction) -> Row:
    """The tokens of an instruction."""
    if not instruction.response.strip():
      return Row([], [], "empty response")
    begin = [] if self.paired else self.tokenizer.begin_ids
    end = [self.tokenizer.eos_id]
    inputs = [
      *begin,
      *self._pieces("alone", instruction),
      *self._pieces("query_alone", instruction),
      *(end if self.paired else ()),
    ]
    targets = [*self._pieces("answer", instruction), *end]
    if len(targets) < 2:
      return Row([], [], "empty response")
    if not inputs:
      return Row([], [], "empty query")
    if self._length(inputs, targets) > self.max_tokens:
      return Row([], [], "too long")
    return Row(inputs, targets, None)

  def batches(
    self, rows: Sequence[Row], buckets: batching.Buckets, *, multiple: int
  ) -> list[batching.Batch]:
    """Which of some rows, none of them with a reason, share a batch."""
    lengths = [self._length(row.inputs, row.targets) for row in rows]
    return buckets.batches(lengths, multiple=multiple)

  def arrays(
    self, rows: Sequence[Row], made: batching.Batch
  ) -> dict[str, np.ndarray]:
    """A batch's features for the network, and "counted", bool [b, t]."""
    if self.paired:
      targets = batching.padded([row.targets for row in rows], made)
      return {
        "encoder_input_tokens": batching.padded(
          [row.inputs for row in rows], made
        ),
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": targets,
        "counted": targets > 0,
      }
    joined = [[*row.inputs, *row.targets] for row in rows]
    # One more than is read: the last token is only predicted.
    tokens = batching.padded(joined, made, length=made.length + 1, padding=-1)
    given = np.full((made.rows, 1), made.length + 1)
    given[: len(made.items), 0] = [len(rows[n].inputs) for n in made.items]
    places = np.arange(1, made.length + 1)
    return {
      "decoder_input_tokens": tokens[:, :-1],
      "decoder_target_tokens": np.maximum(tokens[:, 1:], 0),
      "counted": (tokens[:, 1:] >= 0) & (places >= given),
    }

  def identity(self) -> dict:
    """The vocabulary, the template and the window, JSON-able."""
    return {
      "vocabulary": self.tokenizer.fingerprint,
      "template": dataclasses.asdict(self.template),
      "max_tokens": self.max_tokens,
    }

  def _length(self, inputs: list[int], targets: list[int]) -> int:
    if self.paired:
      return max(len(inputs), len(targets))
    return len(inputs) + len(targets) - 1

  def _pieces(self, part: str, instruction: Instruction) -> list[int]:
    """All pieces of a part, or so many that it cannot fit."""
    text = defences.whole_characters(self.template.fill(part, instruction))
    return questions.head(self.tokenizer, text, self.max_tokens + 1)
