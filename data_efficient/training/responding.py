# SPDX-License-Identifier: Apache-2.0
"""Prompts answered by a model, and the loss of the answers that were wanted.

Greedy decoding, of decoders with a cache of fixed size (`causal_decoding`) and
of T5s (`decoding`), in batches of few fixed shapes.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from data_efficient.models import decoder, encoder_decoder, networks
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import batching, judges, pair_steps
from data_efficient.training import causal_decoding, decoding

Ids = Sequence[int]


@dataclasses.dataclass(kw_only=True)
class Responder:
  """A model that answers.

  Attributes:
    model: the network and its parameters: a decoder of the Llama family, or an
      encoder–decoder.
    tokenizer: the model's.
    max_tokens: the window: prompt and answer together; of an encoder–decoder
      the prompt alone.
    answer_tokens: of an answer, its end included, at most.
    length_step: lengths are padded to a multiple of it.
    batch_tokens: tokens of a batch, padding and room for answers included.
  """

  model: judges.Judge
  tokenizer: Tokenizer
  max_tokens: int
  answer_tokens: int
  length_step: int
  batch_tokens: int

  def __post_init__(self):
    """Raises ValueError where model, vocabulary and lengths do not fit."""
    network = self.model.network
    if not isinstance(
      network, (decoder.DecoderConfig, encoder_decoder.T5Config)
    ):
      raise ValueError(
        f"{type(network).__name__} keeps nothing of what it read and cannot "
        "answer: name a decoder of the Llama family or an encoder–decoder as "
        "MODEL"
      )
    judges.check_vocabulary(self.model, self.tokenizer)
    if not 0 < self.answer_tokens or self.room < 1:
      raise ValueError(
        f"answer_tokens = {self.answer_tokens} of a window of "
        f"{self.max_tokens}: expected at least 1, and fewer than max_tokens"
      )
    self._prompts = self._buckets(self.room)

  @property
  def decoder_only(self) -> bool:
    """Whether prompt and answer share a row."""
    return isinstance(self.model.network, decoder.DecoderConfig)

  @property
  def room(self) -> int:
    """Tokens that a prompt may have."""
    own = self.answer_tokens if self.decoder_only else 0
    return self.max_tokens - own

  def identity(self) -> dict[str, Any]:
    """All that an answer depends on, JSON-able."""
    return {
      "model": self.model.identity(),
      "vocabulary": self.tokenizer.fingerprint,
      "max_tokens": self.max_tokens,
      "answer_tokens": self.answer_tokens,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.model.layout(),
    }

  def respond(
    self,
    prompts: Sequence[Ids],
    advance: Callable[[int], None] | None = None,
  ) -> list[list[int]]:
    """Ids of the answer to each prompt; its end is the last, where it ended.

    Args:
      prompts: of at most `room` tokens, at least one.
      advance: told of prompts as they are answered.
    """
    found: list[list[int]] = [[] for _ in prompts]
    planned = self._prompts.batches(
      [len(ids) for ids in prompts], multiple=self.model.rows_multiple
    )
    for made in planned:
      tokens = batching.padded(prompts, made, padding=self.model.padding)
      with self.model.devices():
        answers = np.asarray(self._answer(self.model.place(tokens)))
      for item, row in zip(made.items, answers, strict=False):
        found[item] = [int(i) for i in row if i > self.model.padding]
      if advance:
        advance(len(made.items))
    return found

  def log_likelihoods(
    self, prompts: Sequence[Ids], answers: Sequence[Ids]
  ) -> Float64[np.ndarray, " n"]:
    """Nats of each answer after its prompt, teacher-forced.

    Args:
      prompts: at least one token each.
      answers: ids, the end included, at least one each. NaN for those that do
        not fit into the window behind their prompt.
    """
    found = np.full(len(prompts), np.nan)
    lengths = list(map(self._length, prompts, answers))
    fitting = [n for n, own in enumerate(lengths) if own <= self.max_tokens]
    planned = self._buckets(self.max_tokens).batches(
      [lengths[n] for n in fitting], multiple=self.model.rows_multiple
    )
    for made in planned:
      numbers = [fitting[item] for item in made.items]
      arrays = self._rows(
        [prompts[n] for n in numbers], [answers[n] for n in numbers], made
      )
      with self.model.devices():
        placed = {k: self.model.place(array) for k, array in arrays.items()}
        sums = _sums(self.model.parameters, placed, network=self.model.network)
      found[numbers] = np.asarray(sums, np.float64)[: len(numbers)]
    return found

  def _buckets(self, longest: int) -> batching.Buckets:
    return batching.Buckets(
      longest=longest, step=self.length_step, batch_tokens=self.batch_tokens
    )

  def _length(self, prompt: Ids, answer: Ids) -> int:
    if self.decoder_only:
      # Nothing follows the last token.
      return len(prompt) + len(answer) - 1
    return max(len(prompt), len(answer))

  def _answer(self, tokens: Array) -> Int[Array, "b t"]:
    network, parameters = self.model.network, self.model.parameters
    if self.decoder_only:
      return causal_decoding.greedy(
        parameters,
        causal_decoding.Prompts(tokens, tokens >= 0),
        network=network,
        length=self.answer_tokens,
        eos_ids=np.array([self.tokenizer.eos_id], np.int32),
      ).tokens
    return _of_two(
      parameters,
      tokens,
      network=network,
      length=self.answer_tokens,
      eos_id=self.tokenizer.eos_id,
    )

  def _rows(
    self, prompts: Sequence[Ids], answers: Sequence[Ids], made: batching.Batch
  ) -> dict[str, np.ndarray]:
    """A batch, its answers as wide as a quarter of its rows, two, three, …"""
    own = made._replace(items=list(range(len(prompts))))
    quarter = -(-made.length // 4)
    longest = max(map(len, answers))
    wide = -(-longest // quarter) * quarter
    targets = batching.padded(answers, own, length=wide, padding=-1)
    if not self.decoder_only:
      return {"inputs": batching.padded(prompts, own), "answers": targets}
    rows = [[*p, *a[:-1]] for p, a in zip(prompts, answers, strict=True)]
    first = np.zeros(made.rows, np.int32)
    first[: len(prompts)] = [len(prompt) - 1 for prompt in prompts]
    index = np.minimum(first[:, None] + np.arange(wide), made.length - 1)
    tokens = batching.padded(rows, own, padding=-1)
    return {"inputs": tokens, "answers": targets, "index": index}


@functools.partial(jax.jit, static_argnames=("network", "length", "eos_id"))
def _of_two(
  parameters: networks.Parameters,
  tokens: Int[Array, "b s"],
  *,
  network: encoder_decoder.T5Config,
  length: int,
  eos_id: int,
) -> Int[Array, "b t"]:
  batch = {
    "encoder_input_tokens": tokens,
    "decoder_target_tokens": jnp.zeros((len(tokens), length), jnp.int32),
  }
  return decoding.greedy(parameters, batch, network=network, eos_id=eos_id)


@functools.partial(jax.jit, static_argnames="network")
def _sums(
  parameters: networks.Parameters,
  batch: dict[str, Array],
  *,
  network: networks.Network,
) -> Float[Array, " b"]:
  """Log-likelihoods of the answers, padded with −1."""
  answers = batch["answers"]
  if isinstance(network, decoder.DecoderConfig):
    states, _ = network.module().apply(
      {"params": parameters},
      batch["inputs"],
      batch["inputs"] >= 0,
      method=decoder.CausalModel.read,
    )
    found = pair_steps.predicted(
      parameters, states, batch["index"], answers, network=network
    )[0]
    return jnp.where(answers >= 0, found, 0.0).sum(axis=1)
  targets = jnp.maximum(answers, 0)
  features = {
    "encoder_input_tokens": batch["inputs"],
    "decoder_input_tokens": jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1],
    "decoder_target_tokens": targets,
    "decoder_loss_weights": (answers >= 0).astype(jnp.float32),
  }
  return decoding.scores(parameters, features, network=network)
