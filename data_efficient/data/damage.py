# SPDX-License-Identifier: Apache-2.0
"""Ways to damage a text: what a judge learns to answer "no" to.

Each takes a text and a NumPy generator and returns a damaged text that no
editor would let pass, with the vocabulary of the original.
"""

from collections.abc import Callable

import numpy as np

Damage = Callable[[str, np.random.Generator], str]


def shuffle_words(text: str, generator: np.random.Generator) -> str:
  """All words, in random order."""
  words = text.split()
  return " ".join(words[index] for index in generator.permutation(len(words)))


def shuffle_windows(text: str, generator: np.random.Generator) -> str:
  """Words in random order within windows of five: local order is lost."""
  words = text.split()
  for start in range(0, len(words), 5):
    window = words[start : start + 5]
    order = generator.permutation(len(window))
    words[start : start + 5] = [window[index] for index in order]
  return " ".join(words)


def drop_words(text: str, generator: np.random.Generator) -> str:
  """A random 40% of the words are gone."""
  words = text.split()
  kept = generator.random(len(words)) > 0.4
  return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


def repeat_fragment(text: str, generator: np.random.Generator) -> str:
  """A few words over and over, as a broken extractor or generator leaves."""
  words = text.split()
  length = int(generator.integers(1, 9))
  start = int(generator.integers(0, max(len(words) - length, 1)))
  fragment = words[start : start + length]
  return " ".join(fragment * (max(len(words), 20) // max(len(fragment), 1)))


def scramble_letters(text: str, generator: np.random.Generator) -> str:
  """A third of the words with their letters in random order."""
  words = text.split()
  for index in np.flatnonzero(generator.random(len(words)) < 0.33):
    letters = list(words[index])
    generator.shuffle(letters)
    words[index] = "".join(letters)
  return " ".join(words)


def strip_words(text: str, generator: np.random.Generator) -> str:
  """Punctuation and numbers only, as a table without its words."""
  del generator
  kept = "".join(letter if not letter.isalpha() else " " for letter in text)
  return " ".join(kept.split()) or "- - -"


ALL: tuple[Damage, ...] = (
  shuffle_words,
  shuffle_windows,
  drop_words,
  repeat_fragment,
  scramble_letters,
  strip_words,
)

_DRAWS = 8


def damaged(text: str, generator: np.random.Generator) -> str:
  """The text after one kind of damage, chosen uniformly.

  A draw that happens to change nothing is drawn again; a text that nothing
  can change (one word) comes back as it is.
  """
  for _ in range(_DRAWS):
    result = ALL[generator.integers(len(ALL))](text, generator)
    if result.split() != text.split():
      break
  return result
