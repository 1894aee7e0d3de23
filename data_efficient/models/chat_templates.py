# SPDX-License-Identifier: Apache-2.0
"""How a model was shown conversations when it was taught to answer, as data.

A checkpoint's own template is a program (Jinja, in `tokenizer_config.json`),
and none is run here out of a file. What it comes to for one question and its
answer is two pieces of text, which hold the marks of the turns.
"""

import dataclasses
from typing import Protocol, runtime_checkable

from data_efficient.models.tokenizers import Tokenizer, TokenizerError


@runtime_checkable
class MarkedTokenizer(Protocol):
  """A tokenizer that can read marks out of a text, where it is asked to."""

  def encode_marked(self, text: str) -> list[int]:
    """Piece ids; special tokens that the text spells are themselves."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatTemplate:
  """What stands around a question.

  Attributes:
    before: the beginning of a conversation (with a system's turn, where the
      model has one) and of the user's turn.
    after: the end of that turn, and the beginning of the model's.
    marks: the special tokens in both; each is one id of the tokenizer.
  """

  before: str
  after: str
  marks: tuple[str, ...]

  def __post_init__(self):
    """Raises ValueError for marks that stand in neither part."""
    missing = [m for m in self.marks if m not in self.before + self.after]
    if missing:
      raise ValueError(
        f"marks {missing} are not in the chat template {self.before!r} … "
        f"{self.after!r}: leave them out, or mend the template"
      )

  def around(
    self, tokenizer: Tokenizer, before: str, after: str
  ) -> tuple[list[int], list[int]]:
    """Ids of what stands in front of a document and behind it.

    Args:
      tokenizer: of the model that was taught with this template.
      before: the question's part in front of the document.
      after: its part behind the document.

    Raises:
      TokenizerError: it does not know the template's marks.
    """
    self._check(tokenizer)
    return (
      tokenizer.encode_marked(self.before + before),
      tokenizer.encode_marked(after + self.after),
    )

  def answer_ids(self, tokenizer: Tokenizer, word: str) -> list[int]:
    """Ids of a word that begins the model's turn.

    Raises:
      TokenizerError: its pieces depend on what stands before it.
    """
    before = tokenizer.encode_marked(self.after)
    both = tokenizer.encode_marked(self.after + word)
    ids = both[len(before) :]
    if not ids or both[: len(before)] != before:
      raise TokenizerError(
        f"the answer {word!r} joins the last piece of the chat template's end "
        f"{self.after!r}: choose another answer, or end the template otherwise"
      )
    return ids

  def _check(self, tokenizer: Tokenizer) -> None:
    if not isinstance(tokenizer, MarkedTokenizer):
      raise TokenizerError(
        f"{type(tokenizer).__name__} reads no marks: a chat template needs the "
        "checkpoint's tokenizer.json"
      )
    unknown = [
      mark for mark in self.marks if len(tokenizer.encode_marked(mark)) != 1
    ]
    if unknown:
      raise TokenizerError(
        f"the chat template's marks {unknown} are no tokens of this tokenizer: "
        "take the template of the checkpoint's family (gin/models/chat/), or "
        "the checkpoint's own tokenizer.json"
      )
