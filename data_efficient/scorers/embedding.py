# SPDX-License-Identifier: Apache-2.0
"""Embeddings of texts: what a network makes of each text's head.

A published encoder (`models.encoder_files`: Sentence-T5, which the paper
embeds with, arXiv 2402.09668, Appendix B.2; BERT's family), or the mean of a
judge's encoder states. Vectors are centred by the scorer that reads them where
it needs that, not here.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from data_efficient.models import networks
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  batching,
  interface,
  judges,
  questions,
  runner,
  stored_vectors,
)


@runtime_checkable
class FramingTokenizer(Tokenizer, Protocol):
  """A tokenizer that knows what stands behind a text, too.

  Attributes:
    end_ids: ids that every text ends with.
  """

  end_ids: tuple[int, ...]


class _Notes(NamedTuple):
  empty: list[bool]
  items: list[list[int]]


@dataclasses.dataclass(kw_only=True)
class Embedding:
  """Vectors [n, e] of the head of each text.

  The columns: "embedding", and "score", its L2 norm before it is rounded.

  Attributes:
    encoder: the network, its parameters and their devices; of a judge, only
      the encoder is run.
    tokenizer: its tokenizer; the marks of a text's ends are a part of it.
    prompt: what is put in front of every text, as some encoders were trained
      ("passage: "); "", or white space at its end.
    max_input_tokens: what is embedded, in tokens: prompt, marks, text's head.
    length_step: inputs are padded to a multiple of this many tokens.
    batch_tokens: tokens of a batch, padding included.
    vector_type: of the stored vectors, "float32" or "float16".
    part_records: records a part.
    name: the name of the embedding in tables.
  """

  encoder: judges.Judge
  tokenizer: FramingTokenizer
  prompt: str
  max_input_tokens: int
  length_step: int
  batch_tokens: int
  vector_type: str
  part_records: int
  name: str = "embedding"

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Refuses another vocabulary, and lengths that leave no room for a text.

    Raises:
      ValueError: says which.
    """
    judges.check_vocabulary(self.encoder, self.tokenizer)
    stored_vectors.check_type(self.vector_type)
    self._buckets = batching.Buckets(
      longest=self.max_input_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )
    longest = self._buckets.length(self.max_input_tokens)
    positions = getattr(self.encoder.network, "max_positions", longest)
    if longest > positions:
      raise ValueError(
        f"max_input_tokens={self.max_input_tokens} is padded to {longest} "
        f"tokens, the network has {positions} positions: lower it"
      )
    if self.prompt and not self.prompt[-1].isspace():
      raise ValueError(
        f"prompt={self.prompt!r} must end with white space: its last word and "
        "the text's first would be one"
      )
    if self._room < 1:
      raise ValueError(
        f"max_input_tokens={self.max_input_tokens} leaves no room for a text: "
        f"prompt and marks take {self.max_input_tokens - self._room}"
      )

  @functools.cached_property
  def _frame(self) -> tuple[list[int], list[int]]:
    prompt = self.tokenizer.encode(self.prompt) if self.prompt else []
    return [*self.tokenizer.begin_ids, *prompt], [*self.tokenizer.end_ids]

  @functools.cached_property
  def _room(self) -> int:
    return self.max_input_tokens - sum(map(len, self._frame))

  def identity(self) -> dict:
    """All that a vector depends on."""
    return {
      "name": self.name,
      "encoder": self.encoder.identity(),
      "vocabulary": self.tokenizer.fingerprint,
      "prompt": self.prompt,
      "max_input_tokens": self.max_input_tokens,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "vector_type": self.vector_type,
      "devices": self.encoder.layout(),
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing to prepare."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """The vectors of `n` texts; see the class for the columns."""
    return runner.score(self, batch)

  def pack(self, batch: Sequence[str]) -> interface.Packed:
    """The framed heads of the texts in padded batches."""
    before, after = self._frame
    heads = [questions.head(self.tokenizer, t, self._room) for t in batch]
    inputs = [[*before, *head, *after] for head in heads]
    kept = [row for row, head in enumerate(heads) if head]
    planned = self._buckets.batches(
      [len(inputs[row]) for row in kept], multiple=self.encoder.rows_multiple
    )
    arrays = [
      batching.padded([inputs[row] for row in kept], made) for made in planned
    ]
    items = [[kept[item] for item in made.items] for made in planned]
    return interface.Packed(arrays, _Notes([not h for h in heads], items))

  def step(self, arrays: np.ndarray) -> jax.Array:
    """Vectors [rows, e] of one batch."""
    with self.encoder.devices():
      return _embed(
        self.encoder.parameters,
        self.encoder.place(arrays),
        network=self.encoder.network,
      )

  def unpack(
    self, packed: interface.Packed, results: list[np.ndarray]
  ) -> interface.Scores:
    """The vectors in the order of the texts."""
    notes: _Notes = packed.notes
    found = np.zeros((len(notes.empty), self._width), np.float32)
    for items, rows in zip(notes.items, results, strict=True):
      found[items] = rows[: len(items)]
    statuses = [
      interface.unscorable("empty") if empty else interface.SCORED
      for empty in notes.empty
    ]
    return stored_vectors.scores(
      found,
      statuses,
      norms=np.linalg.norm(found, axis=1),
      vector_type=self.vector_type,
    )

  @functools.cached_property
  def _width(self) -> int:
    shape = jax.eval_shape(
      functools.partial(_embed, network=self.encoder.network),
      self.encoder.parameters,
      jax.ShapeDtypeStruct((1, 1), jnp.int32),
    )
    return shape.shape[1]


@functools.partial(jax.jit, static_argnames="network")
def _embed(parameters, tokens, *, network: networks.Network):
  module = network.module()
  return module.apply({"params": parameters}, tokens, method=module.embed)
