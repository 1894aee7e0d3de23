# SPDX-License-Identifier: Apache-2.0
"""Embeddings of texts: the mean of a T5 encoder's states.

The paper embeds with Sentence-T5 (arXiv 2402.09668, Appendix B.2), which is
this, trained for similarity and projected. Vectors are centred by the scorer
that reads them where it needs that, not here.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np

from data_efficient.models import encoder_decoder
from data_efficient.scorers import ask_llm, batching, interface


@dataclasses.dataclass(kw_only=True)
class Embedding:
  """Mean-pooled encoder states, float32 [n, e], of the head of each text.

  Attributes:
    judge: whose encoder; only its encoder is run.
    tokenizer: its tokenizer.
    max_input_tokens: the text's head that is embedded, in tokens.
    batch_size: texts a step.
    length_multiple: inputs are padded to a multiple of this many tokens.
    part_records: records a part.
    name: the name of the embedding in tables.
  """

  judge: ask_llm.Judge
  tokenizer: ask_llm.Tokenizer
  max_input_tokens: int
  batch_size: int
  length_multiple: int
  part_records: int
  name: str = "embedding"

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Raises ValueError where the vocabulary is not the judge's."""
    ask_llm.check_vocabulary(self.judge, self.tokenizer)

  def identity(self) -> dict:
    """All that a vector depends on."""
    return {
      "name": self.name,
      "encoder": self.judge.identity,
      "vocabulary": self.tokenizer.fingerprint,
      "pooling": "mean",
      "max_input_tokens": self.max_input_tokens,
      "batch_size": self.batch_size,
      "length_multiple": self.length_multiple,
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """Columns "embedding", float32 [n, e], and "score", its L2 norm."""
    pieces = [self.tokenizer.encode(text) for text in batch]
    kept = [row for row, ids in enumerate(pieces) if ids]
    width = self.judge.config.emb_dim
    vectors = np.zeros((len(batch), width), np.float32)
    for rows, tokens in batching.by_length(
      [pieces[row][: self.max_input_tokens] for row in kept],
      batch_size=self.batch_size,
      multiple=self.length_multiple,
    ):
      means = np.asarray(
        _embed(self.judge.parameters, tokens, config=self.judge.config)
      )
      vectors[[kept[row] for row in rows]] = means[: len(rows)]
    statuses = [
      interface.SCORED if ids else interface.unscorable("empty")
      for ids in pieces
    ]
    columns = {
      "score": np.linalg.norm(vectors, axis=1),
      "embedding": vectors,
    }
    return interface.Scores(statuses, columns)


@functools.partial(jax.jit, static_argnames="config")
def _embed(parameters, tokens, *, config: encoder_decoder.T5Config):
  states = ask_llm.encode(parameters, tokens, config=config)
  return encoder_decoder.mean_pool(states, tokens > 0)
