# SPDX-License-Identifier: Apache-2.0
"""A prompt in a tokenizer's pieces, and a document's way into it."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence

from data_efficient.models.chat_templates import ChatTemplate
from data_efficient.models.tokenizers import Tokenizer, TokenizerError
from data_efficient.scorers import defences
from data_efficient.scorers.prompts import Prompt

# Characters of a text that are tokenized for each token that is wanted, before
# it is seen whether they were enough.
_CHARACTERS = 16
_SPACES = " \n\t"
# A word goes on as another after so many characters: no piece is as long, and
# tokenizers take quadratic time for what they cannot spell (SentencePiece: two
# minutes for a million ideographs).
_WORD = 1024
_LONG_WORD = re.compile(rf"(\S{{{_WORD}}})(?=\S)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
  """A prompt in a tokenizer's pieces; teaching and scoring share it.

  Attributes:
    prompt: the template and its answers.
    tokenizer: the judge's tokenizer.
    max_input_tokens: length of the judge's input, the prompt included; the
      document is cut to what the prompt leaves.
    defence: what is taken out of a document before that.
    chat: how the judge was shown conversations; None for a bare prompt.
  """

  prompt: Prompt
  tokenizer: Tokenizer
  max_input_tokens: int
  defence: defences.Defence
  chat: ChatTemplate | None = None

  def __post_init__(self):
    """Raises ValueError where the window leaves no room for a document.

    Also for a chat with a prompt whose answers are texts of their own.
    """
    if self.chat and not self.prompt.continued:
      raise ValueError(
        "the judge's turn of a chat goes on after the prompt: use "
        "prompts.ask_llm_in_chat()"
      )
    if self.document_tokens < 1:
      used = self.max_input_tokens - self.document_tokens
      raise ValueError(
        f"max_input_tokens={self.max_input_tokens}: the prompt alone takes "
        f"{used} tokens with this vocabulary; give at least {used + 1}"
      )

  @functools.cached_property
  def _frame(self) -> tuple[list[int], list[int]]:
    return frame(
      self.tokenizer,
      self.prompt.before,
      self.prompt.after,
      continued=self.prompt.continued,
      chat=self.chat,
    )

  @functools.cached_property
  def answers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pieces of the positive and of the negative answer."""
    return (
      spelt(self.tokenizer, self.prompt.positive, self.chat),
      spelt(self.tokenizer, self.prompt.negative, self.chat),
    )

  @functools.cached_property
  def casings(self) -> dict[str, tuple[int, ...]]:
    """Both answers in three casings, but for what cannot be spelt: pieces."""
    found = {}
    for word in self.prompt.casings():
      try:
        found[word] = spelt(self.tokenizer, word, self.chat)
      except TokenizerError:
        if word in (self.prompt.positive, self.prompt.negative):
          raise
    return found

  @functools.cached_property
  def document_tokens(self) -> int:
    """How many tokens of a document the judge sees at most."""
    return self.max_input_tokens - sum(map(len, self._frame))

  def document(self, text: str, *, whole: bool = False) -> list[int]:
    """The first pieces of a text under this defence; [] if nothing is left.

    Args:
      text: the document.
      whole: all pieces; otherwise no more than a judge sees.
    """
    text = defences.whole_characters(text)
    clean = functools.partial(self.defence.apply, prompt=self.prompt)
    if whole:
      return self.tokenizer.encode(_divided(clean(text)))
    return head(self.tokenizer, text, self.document_tokens, clean=clean)

  def input_ids(self, document: Sequence[int]) -> list[int]:
    """The judge's input: the document's head inside the prompt.

    Sentence pieces never cross white space, which is what stands at both
    seams, so this equals the pieces of the templated text.
    """
    before, after = self._frame
    return [*before, *document[: self.document_tokens], *after]

  def identity(self) -> dict:
    """The prompt, the vocabulary and the window, JSON-able."""
    chat = {"chat": dataclasses.asdict(self.chat)} if self.chat else {}
    return {
      "prompt": dataclasses.asdict(self.prompt),
      "answer_pieces": {
        word: list(pieces) for word, pieces in self.casings.items()
      },
      "vocabulary": self.tokenizer.fingerprint,
      "max_input_tokens": self.max_input_tokens,
      "defence": self.defence.identity(),
      **chat,
    }


def frame(
  tokenizer: Tokenizer,
  before: str,
  after: str,
  *,
  continued: bool,
  chat: ChatTemplate | None,
) -> tuple[list[int], list[int]]:
  """Pieces of what a judge reads in front of a document, and behind it.

  Args:
    tokenizer: the judge's.
    before: the question's part in front of the document.
    after: its part behind the document.
    continued: whether the answer goes on after it (a decoder-only judge), or is
      a text of its own behind an end-of-sequence.
    chat: how the judge was shown conversations, whose answers go on; None for a
      bare prompt.

  Raises:
    TokenizerError: it does not know the chat's marks.
  """
  if chat:
    return chat.around(tokenizer, before, after)
  pieces, end = tokenizer.encode(before), tokenizer.encode(after)
  if continued:
    return [*tokenizer.begin_ids, *pieces], end
  return pieces, [*end, tokenizer.eos_id]


def spelt(
  tokenizer: Tokenizer, word: str, chat: ChatTemplate | None
) -> tuple[int, ...]:
  """Pieces of an answer behind such a frame.

  Raises:
    TokenizerError: it cannot be spelt there.
  """
  if chat:
    return tuple(chat.answer_ids(tokenizer, word))
  return tuple(tokenizer.answer_ids(word))


def head(
  tokenizer: Tokenizer,
  text: str,
  tokens: int,
  *,
  clean: Callable[[str], str] | None = None,
) -> list[int]:
  """The first `tokens` pieces of a text, without reading all of a long one.

  The text is cut before white space, which no piece crosses, so these are the
  first pieces of the whole text. Words of more than 1,024 characters are
  divided there. Time is linear in the text.

  Args:
    tokenizer: whose pieces.
    text: any text.
    tokens: how many at most.
    clean: what is done to the text before (a `Defence`): what it makes of a
      text's head must not depend on what stands `defences.REACH` behind it.
  """
  characters = _CHARACTERS * tokens
  clean = clean or (lambda text: text)
  while characters + defences.REACH < len(text):
    read = _divided(clean(text[: characters + defences.REACH]))
    # What follows might have changed the last part.
    cut = _seam(read, len(read) - defences.REACH)
    pieces = tokenizer.encode(read[:cut]) if cut else []
    if len(pieces) >= tokens:
      return pieces[:tokens]
    characters *= 4
  return tokenizer.encode(_divided(clean(text)))[:tokens]


def _divided(text: str) -> str:
  return _LONG_WORD.sub(r"\1 ", text) if len(text) > _WORD else text


def _seam(text: str, end: int) -> int:
  """The last place up to `end` where white space begins; 0 if there is none.

  A carriage return, or a wider space before it, may be a part of a piece that
  ends there.
  """
  for at in range(end, 0, -1):
    if text[at] in _SPACES and not text[at - 1].isspace():
      return at
  return 0
