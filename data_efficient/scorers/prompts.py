# SPDX-License-Identifier: Apache-2.0
"""Prompts as data: what stands before the document, and what after it.

The document is cut before it is put between the two, so that the question
always survives (Sachdeva et al. 2024, arXiv 2402.09668, Figure 3).
"""

import dataclasses
from collections.abc import Sequence

# The paper's prompt, one line a paragraph, nothing after the last option.
_ASK_LLM_QUESTION = (
  "Does the previous paragraph demarcated within ### and ### contain "
  "informative signal for pre-training a large-language model? An "
  "informative datapoint should be well-formatted, contain some usable "
  "knowledge of the world, and strictly NOT have any harmful, racist, "
  "sexist, etc. content."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
  """A template around a document, and the answers that are asked for.

  Attributes:
    before: text in front of the document.
    after: text behind it; it holds the question.
    positive: the answer whose probability is the score.
    negative: the answer that is stored beside it.
    continued: whether the answer goes on after the prompt's last token
      (decoder-only models) and is not a text of its own (encoder–decoders,
      whose input then ends with an end-of-sequence).
  """

  before: str
  after: str
  positive: str
  negative: str
  continued: bool = False

  def __post_init__(self):
    """Raises ValueError for answers that cannot be told apart."""
    words = (self.positive.lower(), self.negative.lower())
    if not all(words) or words[0] == words[1]:
      raise ValueError(
        f"positive = {self.positive!r}, negative = {self.negative!r}: "
        "expected two different words"
      )

  def text(self, document: str) -> str:
    """The whole prompt for a document that needs no cut, and no defence."""
    return self.before + document + self.after

  def casings(self) -> tuple[str, ...]:
    """Both answers as they are, capitalised, and in capitals; each once."""
    words = [
      cased
      for word in (self.positive, self.negative)
      for cased in (word, word.capitalize(), word.upper())
    ]
    return tuple(dict.fromkeys(words))


def ask_llm(*, options: Sequence[str] = ("yes", "no")) -> Prompt:
  """The paper's prompt (Figure 3), for encoder-decoder judges.

  Args:
    options: in the order in which they are offered; the paper's by default.
  """
  offered = "".join(f"\n- {option}" for option in options)
  return Prompt(
    before="###\n",
    after=f"\n###\n\n{_ASK_LLM_QUESTION}\n\nOPTIONS:{offered}",
    positive="yes",
    negative="no",
  )


def ask_llm_in_chat() -> Prompt:
  """The paper's prompt as a user's turn; the judge's own begins after it."""
  return dataclasses.replace(ask_llm(), continued=True)


def ask_llm_continued() -> Prompt:
  """The paper's question, so put that a decoder-only judge goes on with it.

  After a list of options such a model begins another one; a line that waits
  for the answer makes "yes" or "no" the next token.
  """
  return Prompt(
    before="###\n",
    after=f"\n###\n\n{_ASK_LLM_QUESTION}\n\nOPTIONS: yes / no\nANSWER:",
    positive="yes",
    negative="no",
    continued=True,
  )
