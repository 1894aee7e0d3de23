# SPDX-License-Identifier: Apache-2.0
"""Embeddings of texts: the mean of a T5 encoder's states.

The paper embeds with Sentence-T5 (arXiv 2402.09668, Appendix B.2), which is
this, trained for similarity and projected. Vectors are centred by the scorer
that reads them where it needs that, not here.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from data_efficient.models import encoder_decoder
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  batching,
  interface,
  judges,
  questions,
  runner,
)


class _Notes(NamedTuple):
  lengths: list[int]
  items: list[list[int]]


@dataclasses.dataclass(kw_only=True)
class Embedding:
  """Mean-pooled encoder states, float32 [n, e], of the head of each text.

  The columns: "embedding", and "score", its L2 norm.

  Attributes:
    judge: whose encoder; only its encoder is run.
    tokenizer: its tokenizer.
    max_input_tokens: the text's head that is embedded, in tokens.
    length_step: inputs are padded to a multiple of this many tokens.
    batch_tokens: tokens of a batch, padding included.
    part_records: records a part.
    name: the name of the embedding in tables.
  """

  judge: judges.Judge
  tokenizer: Tokenizer
  max_input_tokens: int
  length_step: int
  batch_tokens: int
  part_records: int
  name: str = "embedding"

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Raises ValueError where the vocabulary is not the judge's."""
    judges.check_vocabulary(self.judge, self.tokenizer)
    self._buckets = batching.Buckets(
      longest=self.max_input_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )

  def identity(self) -> dict:
    """All that a vector depends on."""
    return {
      "name": self.name,
      "encoder": self.judge.identity(),
      "vocabulary": self.tokenizer.fingerprint,
      "pooling": "mean",
      "max_input_tokens": self.max_input_tokens,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.judge.layout(),
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """The vectors of `n` texts; see the class for the columns."""
    return runner.score(self, batch)

  def pack(self, batch: Sequence[str]) -> interface.Packed:
    """The heads of the texts in padded batches."""
    pieces = [
      questions.head(self.tokenizer, text, self.max_input_tokens)
      for text in batch
    ]
    lengths = [len(ids) for ids in pieces]
    kept = [row for row, length in enumerate(lengths) if length]
    planned = self._buckets.batches(
      [lengths[row] for row in kept], multiple=self.judge.rows_multiple
    )
    arrays = [
      batching.padded([pieces[row] for row in kept], made) for made in planned
    ]
    items = [[kept[item] for item in made.items] for made in planned]
    return interface.Packed(arrays, _Notes(lengths, items))

  def step(self, arrays: np.ndarray) -> jax.Array:
    """Vectors [rows, e] of one batch."""
    with self.judge.devices():
      return _embed(
        self.judge.parameters,
        self.judge.place(arrays),
        network=self.judge.network,
      )

  def unpack(
    self, packed: interface.Packed, results: list[np.ndarray]
  ) -> interface.Scores:
    """The vectors in the order of the texts."""
    notes: _Notes = packed.notes
    width = self.judge.network.emb_dim
    vectors = np.zeros((len(notes.lengths), width), np.float32)
    for items, found in zip(notes.items, results, strict=True):
      vectors[items] = found[: len(items)]
    statuses = [
      interface.SCORED if length else interface.unscorable("empty")
      for length in notes.lengths
    ]
    columns = {
      "score": np.linalg.norm(vectors, axis=1),
      "embedding": vectors,
    }
    return interface.Scores(statuses, columns)


@functools.partial(jax.jit, static_argnames="network")
def _embed(parameters, tokens, *, network: encoder_decoder.T5Config):
  module = network.module()
  return module.apply({"params": parameters}, tokens, method=module.embed)
