# SPDX-License-Identifier: Apache-2.0
"""An embedder of letters, and records whose pairs are approximated."""

import numpy as np

from data_efficient.scorers import interface
from data_efficient.scorers.approximations import Known, Records


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


ROWS, COLUMNS, WIDTH = 30, 24, 6


def records(count, seed=0, unscorable=()) -> Records:
  vectors = np.random.default_rng(seed).normal(size=(count, WIDTH))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  scorable = np.ones(count, bool)
  scorable[list(unscorable)] = False
  texts = np.arange(count, dtype=np.uint64) + np.uint64(1000 * seed)
  return Records(vectors.astype(np.float32), texts, scorable)


TARGETS = records(ROWS, unscorable=[3])
EXAMPLES = records(COLUMNS, seed=1, unscorable=[5])


def computed(rectangles, values, counts=None) -> list[Known]:
  counts = np.ones(values.shape, bool) if counts is None else counts
  return [
    Known(
      rectangle,
      values[np.ix_(*rectangle)].astype(np.float32),
      counts[np.ix_(*rectangle)],
    )
    for rectangle in rectangles
  ]


def whole(predictor, shape=(ROWS, COLUMNS)) -> np.ndarray:
  """All predictions, in uneven blocks."""
  edges = [sorted({0, count // 3, count}) for count in shape]
  found = np.full(shape, np.nan)
  for rows in zip(edges[0], edges[0][1:], strict=False):
    for columns in zip(edges[1], edges[1][1:], strict=False):
      found[slice(*rows), slice(*columns)] = predictor.predict(
        slice(*rows), slice(*columns)
      )
  return found
