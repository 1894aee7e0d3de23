# SPDX-License-Identifier: Apache-2.0
"""An embedder of letters: quick, and alike for texts that are alike."""

import numpy as np

from data_efficient.scorers import interface


class Embedder:
  """Counts of letters; no vector for what has none, and for "no vector"."""

  name, reads, part_records = "letters", interface.Reads.TEXT, 2

  def identity(self) -> dict:
    return {"name": self.name}

  def prepare(self, read) -> None:
    self.seen = [text for block in read("pool") for text in block]

  def score(self, batch) -> interface.Scores:
    found = np.zeros((len(batch), 26), np.float16)
    for row, text in enumerate(batch):
      for letter in text.lower():
        if letter.isalpha() and letter.isascii() and text != "no vector":
          found[row, ord(letter) - 97] += 1
    statuses = [
      interface.SCORED if row.any() else interface.unscorable("empty")
      for row in found
    ]
    norms = np.linalg.norm(found.astype(np.float32), axis=1)
    return interface.Scores(statuses, {"score": norms, "embedding": found})
