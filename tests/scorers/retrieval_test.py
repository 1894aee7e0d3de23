# SPDX-License-Identifier: Apache-2.0
"""The nearest examples, beside a slow twin."""

import numpy as np
import pytest

from data_efficient.scorers import interface, retrieval


class _Embedder:
  """Vectors by text; an empty one has none."""

  name, part_records = "fake", 7
  reads = interface.Reads.TEXT

  def identity(self):
    return {"name": self.name}

  def prepare(self, read):
    (texts,) = read("pool")
    self.seen = len(texts)

  def score(self, batch):
    found = np.zeros((len(batch), 5), np.float32)
    for row, text in zip(found, batch, strict=True):
      seed = int.from_bytes(text.encode(), "little") % 2**32
      row[:] = np.random.default_rng(seed).normal(size=5)
    statuses = [
      interface.SCORED if text else interface.unscorable("empty")
      for text in batch
    ]
    return interface.Scores(statuses, {"embedding": found})


def _records(texts, keys=None):
  return retrieval.Records(texts, keys or [(text,) for text in texts])


def _slowly(queries, examples, count):
  def unit(texts):
    found = _Embedder().score(texts).columns["embedding"].astype(np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)

  cosines = unit(queries.prompts) @ unit(examples.prompts).T
  rows = []
  for query, row in zip(queries.keys, cosines, strict=True):
    allowed = [
      (-cosine, number)
      for number, cosine in enumerate(row)
      if examples.prompts[number]
      and not set(query) & set(examples.keys[number])
    ]
    rows.append([number for _, number in sorted(allowed)[:count]])
  return rows


@pytest.mark.parametrize("count", [1, 5, 50])
def test_the_nearest_that_are_no_copies(count):
  examples = _records(
    [f"text {n % 25}" if n % 9 else "" for n in range(40)],
    # Two keys: of the first some records share one, of the second others.
    [(f"print {n}", f"words {n % 25}") for n in range(40)],
  )
  queries = _records(
    [f"text {n}" for n in range(12)] + ["other"],
    [(f"print {n + 20}", f"words {n}") for n in range(12)] + [("a", "b")],
  )
  found = retrieval.Retrieval(embedder=_Embedder(), count=count).nearest(
    queries, examples
  )
  expected = _slowly(queries, examples, count)
  assert [[one.number for one in row] for row in found] == expected
  for row in found:
    cosines = [one.cosine for one in row]
    assert cosines == sorted(cosines, reverse=True)


def test_nothing_to_show():
  finder = retrieval.Retrieval(embedder=_Embedder(), count=5)
  with pytest.raises(retrieval.RetrievalError, match="no example to show"):
    finder.nearest(_records(["a"]), _records([]))
  with pytest.raises(retrieval.RetrievalError, match="none of 2 examples"):
    finder.nearest(_records(["a"]), _records(["", ""]))
  with pytest.raises(retrieval.RetrievalError, match="count = 0"):
    retrieval.Retrieval(embedder=_Embedder(), count=0)
  # A query whose copies are all there is.
  assert finder.nearest(_records(["a"]), _records(["a", "a"])) == [[]]
