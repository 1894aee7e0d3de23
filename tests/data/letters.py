# SPDX-License-Identifier: Apache-2.0
"""A tokenizer that one can read: a letter is a token, and id 0 is one."""

import string

PIECES = string.ascii_letters + string.digits + "^$ \n.,:?!'-{}[]<>=/"


class Letters:
  """A `tokenizers.Tokenizer`; "^" begins a text and "$" ends it."""

  path = "letters"
  piece_of_zero = "a"
  size = len(PIECES)
  eos_id = PIECES.index("$")
  begin_ids = (PIECES.index("^"),)
  fingerprint = "letters"

  def encode(self, text):
    return [PIECES.index(letter) for letter in text]

  def answer_ids(self, word):
    return self.encode(word)


def text(ids) -> str:
  """What ids spell."""
  return "".join(PIECES[i] for i in ids)
