# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM: the judge's own probability of "yes" to "is this informative?".

  score(x) = log P("yes" | prompt(x))

over the whole vocabulary, in float32, at the first step of the decoder
(Sachdeva et al. 2024, arXiv 2402.09668, Section 3.1, Algorithm 1). An answer
of several pieces is the sum of its teacher-forced pieces.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from data_efficient.kernels import answer
from data_efficient.models import encoder_decoder
from data_efficient.scorers import batching, interface
from data_efficient.scorers.prompts import Prompt


@runtime_checkable
class Tokenizer(Protocol):
  """The part of a tokenizer that a judge needs."""

  eos_id: int
  size: int
  fingerprint: str

  def encode(self, text: str) -> list[int]:
    """Piece ids of a text, without end-of-sequence."""

  def answer_ids(self, word: str) -> list[int]:
    """Piece ids of a word as a target spells it."""


class Judge(NamedTuple):
  """A model that can answer.

  Attributes:
    config: the network.
    parameters: its parameter tree.
    identity: where the parameters came from, JSON-able.
  """

  config: encoder_decoder.T5Config
  parameters: dict
  identity: dict


def check_vocabulary(judge: Judge, tokenizer: Tokenizer) -> None:
  """Raises ValueError where a tokenizer has ids that the judge does not."""
  if tokenizer.size > judge.config.vocab_size:
    raise ValueError(
      f"the vocabulary has {tokenizer.size} ids, the judge's network "
      f"{judge.config.vocab_size}: name the judge's own vocabulary"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
  """A prompt in a tokenizer's pieces; teaching and scoring share it.

  Attributes:
    prompt: the template and its answers.
    tokenizer: the judge's tokenizer.
    max_input_tokens: length of the encoder's input, the prompt included; the
      document is cut to what the prompt leaves.
  """

  prompt: Prompt
  tokenizer: Tokenizer
  max_input_tokens: int

  def __post_init__(self):
    """Raises ValueError where the window leaves no room for a document."""
    if self.document_tokens < 1:
      used = self.max_input_tokens - self.document_tokens
      raise ValueError(
        f"max_input_tokens={self.max_input_tokens}: the prompt alone takes "
        f"{used} tokens with this vocabulary; give at least {used + 1}"
      )

  @functools.cached_property
  def _frame(self) -> tuple[list[int], list[int]]:
    encode = self.tokenizer.encode
    return encode(self.prompt.before), encode(self.prompt.after)

  @functools.cached_property
  def answers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pieces of the positive and of the negative answer."""
    words = (self.prompt.positive, self.prompt.negative)
    return tuple(tuple(self.tokenizer.answer_ids(word)) for word in words)

  @functools.cached_property
  def document_tokens(self) -> int:
    """How many tokens of a document the judge sees at most."""
    return self.max_input_tokens - sum(map(len, self._frame)) - 1

  def document(self, text: str) -> list[int]:
    """All pieces of a text, its markers neutralised; [] if it is blank."""
    if not text.strip():
      return []
    return self.tokenizer.encode(self.prompt.neutralised(text))

  def input_ids(self, document: Sequence[int]) -> list[int]:
    """The encoder's input: the document's head inside the prompt, and EOS.

    Sentence pieces never cross white space, which is what stands at both
    seams, so this equals the pieces of the templated text.
    """
    before, after = self._frame
    cut = document[: self.document_tokens]
    return [*before, *cut, *after, self.tokenizer.eos_id]

  def identity(self) -> dict:
    """The prompt, the vocabulary and the window, JSON-able."""
    return {
      "prompt": dataclasses.asdict(self.prompt),
      "answer_pieces": [list(pieces) for pieces in self.answers],
      "vocabulary": self.tokenizer.fingerprint,
      "max_input_tokens": self.max_input_tokens,
    }


@dataclasses.dataclass(kw_only=True)
class AskLlm:
  """Scores texts by the judge's log P(yes).

  Attributes:
    judge: the model that is asked.
    question: what it is asked; part of the score set's identity.
    batch_size: documents a step; with `length_multiple` it fixes the shapes,
      so that a document's score never depends on its neighbours.
    length_multiple: inputs are padded to a multiple of this many tokens.
    part_records: records a part of the score set.
    name: the sampler's name in tables.
  """

  judge: Judge
  question: Question
  batch_size: int
  length_multiple: int
  part_records: int
  name: str = "ask_llm"

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Raises ValueError where the vocabulary is not the judge's."""
    check_vocabulary(self.judge, self.question.tokenizer)

  def identity(self) -> dict:
    """All that a score depends on."""
    return {
      "name": self.name,
      "judge": self.judge.identity,
      "question": self.question.identity(),
      "batch_size": self.batch_size,
      "length_multiple": self.length_multiple,
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing: a judge needs no pass over the corpus."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """log P(yes) (the score) and log P(no) of `n` texts, float32 [n]."""
    documents = [self.question.document(text) for text in batch]
    inputs = [self.question.input_ids(pieces) for pieces in documents]
    asked = [row for row, pieces in enumerate(documents) if pieces]
    values = np.full((len(batch), 2), np.nan, np.float32)
    for rows, tokens in batching.by_length(
      [inputs[row] for row in asked],
      batch_size=self.batch_size,
      multiple=self.length_multiple,
    ):
      step = _log_probabilities(
        self.judge.parameters, tokens, self.question.answers, self.judge.config
      )
      values[[asked[row] for row in rows]] = step[: len(rows)]
    return self._scores(documents, values)

  def _scores(self, documents, values) -> interface.Scores:
    statuses = []
    for pieces, row in zip(documents, values, strict=True):
      if not pieces:
        statuses.append(interface.unscorable("empty"))
      elif not np.isfinite(row).all():
        statuses.append(interface.unscorable("non-finite"))
      else:
        statuses.append(interface.SCORED)
    lengths = np.array([len(pieces) for pieces in documents], np.int32)
    columns = {
      "score": values[:, 0],
      "log_p_no": values[:, 1],
      "document_tokens": lengths,
    }
    return interface.Scores(statuses, columns)


def _log_probabilities(parameters, tokens, answers, config) -> np.ndarray:
  """float32 [b, len(answers)]: the encoder runs once for all the answers."""
  encoded = encode(parameters, tokens, config=config)
  starts = {tuple(_decoder_inputs(pieces)) for pieces in answers}
  logits = {
    start: decode(
      parameters, encoded, tokens, np.array(start, np.int32), config=config
    )
    for start in starts
  }
  return np.stack(
    [
      np.asarray(
        answer.log_probability(
          logits[tuple(_decoder_inputs(pieces))], np.array(pieces, np.int32)
        )
      )
      for pieces in answers
    ],
    axis=-1,
  )


def _decoder_inputs(pieces: Sequence[int]) -> list[int]:
  # T5 starts decoding from the padding id.
  return [0, *pieces[:-1]]


@functools.partial(jax.jit, static_argnames="config")
def encode(parameters, tokens, *, config: encoder_decoder.T5Config):
  """Encoder states [b, s, e] of a padded batch of token ids [b, s]."""
  module = encoder_decoder.Transformer(config)
  return module.apply({"params": parameters}, tokens, method=module.encode)


@functools.partial(jax.jit, static_argnames="config")
def decode(
  parameters, encoded, tokens, start, *, config: encoder_decoder.T5Config
):
  """Logits [b, p, v] of teacher-forced decoder inputs [p], shared by all."""
  module = encoder_decoder.Transformer(config)
  inputs = jnp.broadcast_to(start, (tokens.shape[0], start.shape[0]))
  return module.apply(
    {"params": parameters},
    encoded,
    tokens,
    inputs,
    # With targets that are not padding, no position is masked away.
    jnp.ones_like(inputs),
    method=module.decode,
  )
