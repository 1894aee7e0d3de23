# SPDX-License-Identifier: Apache-2.0
"""SelectIT's rating prompts as data: orders to rate an answer on a scale."""

import dataclasses
import functools

from data_efficient.models.chat_templates import ChatTemplate
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import defences, questions
from data_efficient.scorers.templates import Instruction


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingPrompts:
  """Several orders to rate one and the same record.

    order · before_prompt · prompt · before_response · response · end

  Attributes:
    orders: each asks for a rating, in words of its own.
    scale: the ratings, from the worst to the best; the k-th counts k.
    before_prompt: text between an order and what was asked.
    before_response: text between that and the answer.
    end: text behind the answer; the rating follows it.
  """

  orders: tuple[str, ...]
  scale: tuple[str, ...]
  before_prompt: str
  before_response: str
  end: str

  def __post_init__(self):
    """Raises ValueError for no orders, or a scale that has no two ends."""
    object.__setattr__(self, "orders", tuple(self.orders))
    object.__setattr__(self, "scale", tuple(self.scale))
    if not self.orders or not all(order.strip() for order in self.orders):
      raise ValueError(
        "rating prompts: expected at least one order, none empty"
      )
    if len(set(self.scale)) != len(self.scale) or len(self.scale) < 2:
      raise ValueError(
        f"rating prompts: scale = {self.scale}: expected two or more ratings, "
        "each once"
      )


def one_to_five() -> RatingPrompts:
  """Five orders to rate from 1 to 5.

  As many of both as SelectIT has (arXiv 2402.16705, Section 3), in words of
  our own.
  """
  return RatingPrompts(
    orders=(
      "How well does the response below do what its instruction asks? Grade "
      "it with a whole number between 1 (not at all) and 5 (perfectly).",
      "Read the instruction and the response. Decide how correct and how "
      "complete the response is, and give a grade from 1, the lowest, to 5, "
      "the highest.",
      "You are checking the quality of training examples. On a scale of 1 to "
      "5, where 5 is best, grade the example that follows by whether its "
      "response answers its instruction.",
      "Grade the following answer. A 1 means that it is wrong or beside the "
      "point, a 5 that nothing could be better, and 2, 3 and 4 lie between.",
      "Would a careful expert be content with the response to this "
      "instruction? Say so by one grade out of 1, 2, 3, 4 and 5, higher being "
      "better.",
    ),
    scale=("1", "2", "3", "4", "5"),
    before_prompt="\n\nInstruction:\n",
    before_response="\n\nResponse:\n",
    end="\n\nGrade (1 to 5):",
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratings:
  """Rating prompts in a tokenizer's pieces.

  The parts between the dots are tokenised each by itself and then joined. Of a
  record that is too long the ends are cut off: the response keeps half of the
  room at least, the prompt what the response leaves.

  Attributes:
    prompts: what is asked.
    tokenizer: the judge's tokenizer.
    max_tokens: length of the judge's input.
    decoder_only: whether the rating goes on after the prompt's last token, or
      is a text of its own behind an end-of-sequence.
    chat: how the judge was shown conversations; None for a bare prompt.
  """

  prompts: RatingPrompts
  tokenizer: Tokenizer
  max_tokens: int
  decoder_only: bool
  chat: ChatTemplate | None = None

  def __post_init__(self):
    """Raises ValueError where no room is left, or a chat has no turns."""
    if self.chat and not self.decoder_only:
      raise ValueError(
        "a chat is for decoder-only judges; leave it out for this one"
      )
    if self.room < 2:
      raise ValueError(
        f"max_tokens = {self.max_tokens}: the rating prompts alone take "
        f"{self.max_tokens - self.room}; give at least "
        f"{self.max_tokens - self.room + 2}"
      )

  @functools.cached_property
  def room(self) -> int:
    """Tokens that are left for a record, whatever the order."""
    taken = max(len(before) + len(end) for before, end in self._frames)
    return self.max_tokens - taken - len(self._between)

  @functools.cached_property
  def answers(self) -> tuple[tuple[int, ...], ...]:
    """The pieces of each rating, from the worst to the best.

    Raises:
      TokenizerError: the vocabulary cannot spell one.
    """
    return tuple(
      questions.spelt(self.tokenizer, word, self.chat)
      for word in self.prompts.scale
    )

  def inputs(self, instruction: Instruction) -> list[list[int]]:
    """The judge's input for each order."""
    prompt = self._head(instruction.prompt)
    response = self._head(instruction.response)
    kept = min(len(response), max(self.room - len(prompt), self.room // 2))
    record = [
      *prompt[: self.room - kept],
      *self._between,
      *response[:kept],
    ]
    return [[*before, *record, *end] for before, end in self._frames]

  @functools.cached_property
  def _frames(self) -> list[tuple[list[int], list[int]]]:
    """What stands before a record, and behind it, for each order."""
    return [
      questions.frame(
        self.tokenizer,
        order + self.prompts.before_prompt,
        self.prompts.end,
        continued=self.decoder_only,
        chat=self.chat,
      )
      for order in self.prompts.orders
    ]

  @functools.cached_property
  def _between(self) -> list[int]:
    return self.tokenizer.encode(self.prompts.before_response)

  def _head(self, text: str) -> list[int]:
    text = defences.whole_characters(text)
    return questions.head(self.tokenizer, text, self.room)

  def identity(self) -> dict:
    """The prompts, the vocabulary and the window, JSON-able."""
    chat = {"chat": dataclasses.asdict(self.chat)} if self.chat else {}
    return {
      "prompts": dataclasses.asdict(self.prompts),
      "rating_pieces": [list(pieces) for pieces in self.answers],
      "vocabulary": self.tokenizer.fingerprint,
      "max_tokens": self.max_tokens,
      **chat,
    }
