# SPDX-License-Identifier: Apache-2.0
"""Words and sentences that are said again and again."""

import re

import numpy as np

from data_efficient.scorers import foldings

_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
# Words of a circle at most, and rounds of it that are left.
_LONGEST = 16
_ROUNDS = 2
# A sentence of so many words is said once.
_SENTENCE_WORDS = 5
_SENTENCE_CHARACTERS = 2 * _SENTENCE_WORDS - 1


def collapsed(text: str) -> str:
  """The text without the rounds beyond two, and with each sentence once."""
  return _without_circles(_said_once(text))


def _said_once(text: str) -> str:
  seen: set[tuple[str, ...]] = set()
  spans = []
  for found in _SENTENCE.finditer(text):
    if found.end() - found.start() < _SENTENCE_CHARACTERS:
      continue
    words = tuple(foldings.folded(found[0]).strip(" \t.!?").split())
    if len(words) < _SENTENCE_WORDS:
      continue
    if words in seen:
      spans.append(found.span())
    seen.add(words)
  return foldings.without(text, spans, "") if spans else text


def _without_circles(text: str) -> str:
  """Deletes the words after two rounds of up to 16, shortest circles first."""
  found = list(_WORD.finditer(text))
  names: dict[str, int] = {}
  words = np.array(
    [names.setdefault(word[0].lower(), len(names)) for word in found], int
  )
  places = np.arange(len(words))
  for period in range(1, _LONGEST + 1):
    places = places[~_again(words[places], period)]
  gone = np.setdiff1d(np.arange(len(words)), places)
  return foldings.without(text, [found[at].span() for at in gone], "")


def _again(words: np.ndarray, period: int) -> np.ndarray:
  """Which words, bool, are those of two rounds before and of one before."""
  again = np.zeros(len(words), bool)
  same = words[period:] == words[:-period]
  # How many words in a row, up to each, equal those one round before.
  places = np.arange(len(same))
  run = places - np.maximum.accumulate(np.where(same, -1, places))
  again[period:] = run > (_ROUNDS - 1) * period
  return again
