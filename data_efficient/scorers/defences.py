# SPDX-License-Identifier: Apache-2.0
"""What is taken out of a document before a judge reads it.

A document may try to steer its judge: it ends the paragraph early, repeats
the question with an answer, orders the answer, or hides any of these. A
defence is a list of steps, each of which deletes such things and leaves all
else as it is. They are filters of known tricks, and no proof: an order in
other words, and praise that is true, pass.

All steps are idempotent, and take time linear in the text.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence

from data_efficient.scorers import foldings, hidden_orders, repetitions
from data_efficient.scorers.prompts import Prompt

# Raised with every change of a rule below or in the modules of the steps: it
# is part of the identity of scores.
RULES = 1

# How far beyond its place a text may change what is done there, characters.
REACH = 1024

# Number signs, in all widths and spelt out.
_SIGN = (
  "(?:[#\N{FULLWIDTH NUMBER SIGN}\N{SMALL NUMBER SIGN}\N{MUSIC SHARP SIGN}]"
  r"|&#0{0,4}35;|&#[xX]0{0,4}23;|&num;|%23|\\u0023|\\x23)"
)
_MARKER = re.compile(rf"{_SIGN}(?:[ \t]{{0,4}}{_SIGN}){{2,}}")

# Controls, what has no width or turns the direction, tags, fillers, selectors
# of variants, what is no character; but not tab, line ends and page breaks.
_INVISIBLE = (
  r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160"
  r"\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
  r"\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
  r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Joiners belong to Arabic, Indic scripts and emoji, selectors to symbols.
_JOINED = r"\u0590-\u109f\u1780-\u18af\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_SYMBOLS = r"\xa9\xae\u203c-\u3299\U0001f000-\U0001faff"
# Strokes through letters; other marks beyond three on a letter.
_STROKES = r"\u0334-\u0338\u0488\u0489\u20d2\u20d3\u20d8-\u20da\u20e5\u20e6"
_MARKS = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_REMOVED = re.compile(
  rf"[{_INVISIBLE}{_STROKES}]+"
  rf"|(?<![{_JOINED}])[\u200c\u200d]"
  rf"|(?<![{_SYMBOLS}])[\ufe00-\ufe0f]"
)
_PILED = re.compile(rf"({_MARKS}{{3}}){_MARKS}+")


def unicode(text: str, prompt: Prompt) -> str:
  """Without what is not seen, strokes through letters, and piles of marks."""
  del prompt
  if text.isascii() and text.isprintable():
    return text
  return _PILED.sub(r"\1", _REMOVED.sub("", text))


def markers(text: str, prompt: Prompt) -> str:
  """Runs of three or more "#", in any writing, become "##".

  A heading stays a heading, and nothing inside the document can close the
  paragraph under judgement.
  """
  del prompt
  return _MARKER.sub("##", text)


def copies(text: str, prompt: Prompt) -> str:
  """Without copies of the prompt and lines that hold nothing but answers."""
  return foldings.without_answers(foldings.without_copies(text, prompt), prompt)


def orders(text: str, prompt: Prompt) -> str:
  """Without sentences that order the positive answer, encoded or not."""
  return hidden_orders.removed(text, prompt)


def repetition(text: str, prompt: Prompt) -> str:
  """Words that go round in a circle twice, and each sentence once."""
  del prompt
  return repetitions.collapsed(text)


Step = Callable[[str, Prompt], str]
# In the order in which they are taken.
STEPS: dict[str, Step] = {
  step.__name__: step for step in (unicode, markers, copies, orders, repetition)
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defence:
  """Steps that clean a document; none at all leaves it as it is.

  Attributes:
    steps: names of `STEPS`, in their order.
  """

  steps: Sequence[str]

  def __post_init__(self):
    """Raises ValueError for steps that do not exist, or out of order."""
    known = [name for name in STEPS if name in self.steps]
    if known != list(self.steps):
      raise ValueError(
        f"steps = {tuple(self.steps)}: expected some of {tuple(STEPS)}, in "
        "this order, each once"
      )
    object.__setattr__(self, "steps", tuple(self.steps))

  def apply(self, text: str, prompt: Prompt) -> str:
    """The document as the judge is to see it; the same when done again.

    A step may uncover what an earlier one deletes, so all are taken until
    nothing changes: nearly always once, and at most `_ROUNDS` times. A text
    that is not clean even then was made to be so: nothing of it is left.
    """
    for _ in range(_ROUNDS):
      cleaned = text
      for name in self.steps:
        cleaned = STEPS[name](cleaned, prompt)
      if cleaned == text:
        return text
      text = cleaned
    return ""

  def identity(self) -> dict:
    """The steps and the number of their rules, JSON-able."""
    return {"steps": list(self.steps), "rules": RULES}


_ROUNDS = 8


def whole_characters(text: str) -> str:
  """The text with U+FFFD in place of each half of a surrogate pair.

  Such halves come from JSON escapes that were cut. UTF-8 cannot hold them,
  so no vocabulary, fingerprint or file of ours could.
  """
  try:
    text.encode("utf-8")
  except UnicodeEncodeError:
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)
  return text


_HALVES = re.compile(r"[\ud800-\udfff]")
