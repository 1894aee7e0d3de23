# SPDX-License-Identifier: Apache-2.0
"""What a network is asked to predict of a text: perplexity's objectives.

An objective turns the pieces of a window of text into inputs and targets. Its
ends of sequence are those of its pre-training: with T5's objectives every
input and every target ends with one, wherever the window was cut, and the one
of the targets is predicted like any other token; a causal language model
predicts one where the text ends, and none after a cut.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from data_efficient.kernels import corruption
from data_efficient.models.tokenizers import SENTINELS, Tokenizer

# Counters of a text's masks: repeats × windows × tokens, each a field of bits.
_WINDOW_BITS, _TOKEN_BITS = 20, 24


class Example(NamedTuple):
  """One forward pass of a window.

  Attributes:
    inputs: what the encoder reads; for a decoder-only network what it reads
      before the first token that it is to predict.
    targets: what is predicted, each token after those before it.
  """

  inputs: list[int]
  targets: list[int]


class Window(NamedTuple):
  """A piece of a text.

  Attributes:
    pieces: its token ids.
    number: which of the text's windows it is, from 0.
    ends: whether the text ends with it.
    fingerprint: of the whole text, 64 bits.
  """

  pieces: Sequence[int]
  number: int
  ends: bool
  fingerprint: int


class Lengths(NamedTuple):
  """Tokens of the inputs and targets that a window of a length makes."""

  inputs: int
  targets: int


@runtime_checkable
class Sentinels(Protocol):
  """A tokenizer of T5's."""

  first_sentinel: int


@runtime_checkable
class Objective(Protocol):
  """Windows to examples; a frozen dataclass.

  Attributes:
    least: tokens of the shortest text that it can score.
    decoder_only: which kind of network it is for.
  """

  least: int
  decoder_only: bool

  def lengths(self, tokens: int, tokenizer: Tokenizer) -> Lengths:
    """Those of the longest example of a window of so many tokens."""

  def examples(self, window: Window, tokenizer: Tokenizer) -> list[Example]:
    """The examples of a window of at least `least` tokens."""

  def identity(self) -> dict:
    """Name and settings, JSON-able."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpanCorruption:
  """T5's pre-training: the decoder predicts masked spans.

  A text's masks depend on `seed` and on its own characters alone.

  Attributes:
    noise_density: share of tokens that is masked (T5: 0.15).
    mean_span_length: mean tokens of a masked span (T5: 3.0).
    repeats: masks of a window; each costs a forward pass, and the score is the
      mean over all of them. More of them leave the first ones as they are.
    seed: of the masks.
  """

  noise_density: float
  mean_span_length: float
  repeats: int
  seed: int

  least = 2
  decoder_only = False

  def __post_init__(self):
    """Raises ValueError for numbers that mask nothing, or all."""
    self._counts(2)
    if self.repeats < 1:
      raise ValueError(f"repeats = {self.repeats}: expected at least 1")

  def _counts(self, tokens: int) -> corruption.Counts:
    return corruption.counts(
      tokens,
      noise_density=self.noise_density,
      mean_span_length=self.mean_span_length,
    )

  def lengths(self, tokens: int, tokenizer: Tokenizer) -> Lengths:
    """Those of every example: the mask changes places, not numbers.

    Raises:
      ValueError: a tokenizer without sentinels, or with too few of them.
    """
    if not isinstance(tokenizer, Sentinels):
      raise ValueError(
        "span corruption needs a vocabulary with T5's sentinels; give T5's "
        "SentencePiece file, or another objective"
      )
    masked, spans = self._counts(tokens)
    if spans > SENTINELS:
      raise ValueError(
        f"a window of {tokens} tokens has {spans} masked spans, but there are "
        f"{SENTINELS} sentinels: lower max_input_tokens or noise_density, or "
        "raise mean_span_length"
      )
    return Lengths(tokens - masked + spans + 1, masked + spans + 1)

  def examples(self, window: Window, tokenizer: Tokenizer) -> list[Example]:
    """One for each mask."""
    return [self._example(window, tokenizer, n) for n in range(self.repeats)]

  def _example(self, window: Window, tokenizer, number: int) -> Example:
    start = ((number << _WINDOW_BITS) + window.number) << _TOKEN_BITS
    mask = corruption.noise_mask(
      len(window.pieces),
      noise_density=self.noise_density,
      mean_span_length=self.mean_span_length,
      seed=self.seed,
      stream=window.fingerprint,
      start=start,
    )
    inputs, targets = corruption.corrupted(
      window.pieces, mask, first_sentinel=tokenizer.first_sentinel
    )
    return Example([*inputs, tokenizer.eos_id], [*targets, tokenizer.eos_id])

  def identity(self) -> dict:
    """Name and settings."""
    return {"name": "span_corruption", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrefixLm:
  """The encoder reads the beginning of a window, the decoder predicts the rest.

  Attributes:
    prefix_share: share of tokens that the encoder reads, in (0, 1). Fixed, so
      that a score needs no draw: T5's own objective draws it uniformly, which
      is a half on average.
  """

  prefix_share: float

  least = 2
  decoder_only = False

  def __post_init__(self):
    """Raises ValueError for a share that leaves one side empty."""
    if not 0 < self.prefix_share < 1:
      raise ValueError(
        f"prefix_share = {self.prefix_share}: expected a share between 0 and 1"
      )

  def _prefix(self, tokens: int) -> int:
    return min(max(round(tokens * self.prefix_share), 1), tokens - 1)

  def lengths(self, tokens: int, tokenizer: Tokenizer) -> Lengths:
    """Those of the one example."""
    prefix = self._prefix(tokens)
    return Lengths(prefix + 1, tokens - prefix + 1)

  def examples(self, window: Window, tokenizer: Tokenizer) -> list[Example]:
    """The window, cut in two."""
    cut, eos = self._prefix(len(window.pieces)), tokenizer.eos_id
    return [Example([*window.pieces[:cut], eos], [*window.pieces[cut:], eos])]

  def identity(self) -> dict:
    """Name and settings."""
    return {"name": "prefix_lm", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CausalLm:
  """A decoder-only network predicts each token from those before it."""

  least = 1
  decoder_only = True

  def lengths(self, tokens: int, tokenizer: Tokenizer) -> Lengths:
    """Those of the one example; what is read before it is `inputs`."""
    return Lengths(len(tokenizer.begin_ids), tokens + 1)

  def examples(self, window: Window, tokenizer: Tokenizer) -> list[Example]:
    """All tokens, after those that every text begins with."""
    end = [tokenizer.eos_id] if window.ends else []
    return [Example(list(tokenizer.begin_ids), [*window.pieces, *end])]

  def identity(self) -> dict:
    """Name and settings."""
    return {"name": "causal_lm"}
