# SPDX-License-Identifier: Apache-2.0
"""Texts folded letter by letter, and copies of a prompt found in them.

A folded text is as long as the text, so that what is found in the one is
deleted from the other.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable

from data_efficient.scorers.prompts import Prompt

# Words in a row that a document shares with the prompt by copying alone.
_SHINGLE = 6
_WORD = re.compile(r"[^\W_]{1,64}")
# Where letters of the Latin script have variants and lookalikes.
_RANGES = (
  *((0x41, 0x250), (0x370, 0x530), (0x1E00, 0x2000), (0x2100, 0x2190)),
  *((0x2460, 0x2500), (0xFF01, 0xFF5F), (0x1D400, 0x1D800)),
)
_LOOKALIKES = str.maketrans(
  "авеікмнорсѕтухјһԁԛԝαεικνορτυχ", "abeikmhopcstyxjhdqwaeikvoptux"
)
_DIGITS = str.maketrans("0134578@$", "oieastbas")


def folded(text: str) -> str:
  """Small letters without accents; lookalikes, widths and digits are Latin."""
  return text.translate(_table())


def without_copies(text: str, prompt: Prompt) -> str:
  """Deletes six and more words in a row that stand so in the prompt.

  Words are taken one by one, as brackets are matched: six that are the
  prompt's go at once, so that what they stood between is seen together.
  """
  shingles = _shingles(prompt.before + prompt.after)
  words = " ".join(_WORD.findall(folded(text)))
  if not any(" ".join(shingle) in words for shingle in shingles):
    return text
  found = list(_WORD.finditer(folded(text)))
  kept: list[int] = []
  for place in range(len(found)):
    kept.append(place)
    if tuple(found[at][0] for at in kept[-_SHINGLE:]) in shingles:
      del kept[-_SHINGLE:]
  # With all that stands between two words that are deleted.
  edges = itertools.pairwise([-1, *kept, len(found)])
  spans = (
    (found[last + 1].start(), found[following - 1].end())
    for last, following in edges
    if following - last > 1
  )
  return without(text, spans, "")


def without_answers(text: str, prompt: Prompt) -> str:
  """Deletes lines of nothing but the prompt's answers and their labels."""
  pattern = _answer_lines(prompt)
  spans = (found.span() for found in pattern.finditer(folded(text)))
  return without(text, spans, "")


def without(text: str, spans: Iterable[tuple[int, int]], instead: str) -> str:
  """The text with something else in place of its spans, joined if they meet."""
  parts, at = [], 0
  for start, end in sorted(spans):
    if start >= at:
      parts += [text[at:start], instead]
    at = max(at, end)
  return "".join([*parts, text[at:]])


@functools.cache
def _shingles(text: str) -> frozenset[tuple[str, ...]]:
  words = _WORD.findall(folded(text))
  return frozenset(
    tuple(words[start : start + _SHINGLE])
    for start in range(len(words) - _SHINGLE + 1)
  )


@functools.cache
def _answer_lines(prompt: Prompt) -> re.Pattern:
  words = (folded(word) for word in (prompt.positive, prompt.negative))
  answer = "|".join(map(re.escape, words))
  word = f"options?|answer|{answer}"
  mark = r"[ \t\r:;,.!?/|*>\"'()\[\]-]"
  return re.compile(
    rf"^(?=.*(?:options|{answer})){mark}*(?:{word})(?:{mark}+(?:{word}))*{mark}*$",
    re.MULTILINE,
  )


@functools.cache
def _table() -> dict[int, str]:
  table = {}
  for start, end in _RANGES:
    for code in range(start, end):
      letter = _plain(chr(code))
      if letter != chr(code):
        table[code] = letter
  return table | _DIGITS


def _plain(letter: str) -> str:
  parts = unicodedata.normalize("NFKD", letter)
  rest = (unicodedata.category(part) == "Mn" for part in parts[1:])
  small = parts[0].lower() if all(rest) else letter.lower()
  return (small if len(small) == 1 else letter).translate(_LOOKALIKES)
