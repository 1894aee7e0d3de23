# SPDX-License-Identifier: Apache-2.0
"""Perplexity filtering: how well a network predicts a text.

  score(x) = (1/|y|) Σₜ log p(yₜ | y₁…yₜ₋₁, inputs)        nats a target token

where an objective makes inputs and targets y of the text. The perplexity is
exp(−score), so that keeping the highest scores keeps low perplexity, as the
paper does (Sachdeva et al. 2024, arXiv 2402.09668, Section 4.1).
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import xxhash

from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  defences,
  interface,
  judged,
  objectives,
  questions,
  teacher_forcing,
)

_EMPTY, _SHORT = "empty", "too short"
# Windows of fewer tokens might leave a last one that has nothing to predict.
_LEAST_WINDOW = 3


class Windows(enum.StrEnum):
  """What is read of a text that is longer than the network's window.

  HEAD is its beginning, as many tokens as fit. WHOLE is all of it, in
  consecutive windows as equal as can be; their log-likelihoods and their
  tokens are added.
  """

  HEAD = "head"
  WHOLE = "whole"


class _Text(NamedTuple):
  """A text's windows, or why it has none."""

  windows: list[objectives.Window]
  reason: str | None


class _Notes(NamedTuple):
  reasons: list[str | None]
  # Tokens that were read of each text.
  seen: np.ndarray
  # Which text an example is of, and how many targets it has.
  texts: np.ndarray
  targets: np.ndarray
  items: list[list[int]]


@dataclasses.dataclass(kw_only=True)
class Perplexity(judged.Judged):
  """Scores texts by their mean log-likelihood, in nats a target token.

  The columns: "score"; "log_likelihood", the sum over all target tokens;
  "target_tokens", how many they are, ends of sequence and sentinels included;
  "document_tokens", how many tokens of the text were read. A text that is
  blank, or has fewer tokens than its objective needs, is unscorable.

  Attributes:
    tokenizer: the judge's tokenizer.
    objective: what the judge predicts; part of the score set's identity.
    max_input_tokens: length of what it reads: of the encoder's input, or of
      the whole sequence of a decoder-only network; ends included. How much
      text that is follows from the objective.
  """

  tokenizer: Tokenizer
  objective: objectives.Objective
  max_input_tokens: int
  name: str = "perplexity"

  def __post_init__(self):
    """Raises ValueError where network, vocabulary and objective do not fit."""
    self.windows = Windows(self.windows)
    self.check(self.tokenizer)
    alone = self.judge.decoder_only
    if self.objective.decoder_only != alone:
      raise ValueError(
        f"the objective {self.objective.identity()['name']} is not for "
        f"{self.judge.family} networks: use objectives."
        f"{'CausalLm' if alone else 'SpanCorruption or PrefixLm'}"
      )
    self._shapes = teacher_forcing.Shapes(
      objective=self.objective,
      tokenizer=self.tokenizer,
      buckets=self.buckets(self.max_input_tokens),
      padding=self.judge.padding,
    )
    if self.window_tokens < _LEAST_WINDOW:
      raise ValueError(
        f"max_input_tokens = {self.max_input_tokens}: room for "
        f"{self.window_tokens} tokens of text, expected at least "
        f"{_LEAST_WINDOW}"
      )

  @property
  def window_tokens(self) -> int:
    """Tokens of the longest piece of text that the network reads at once."""
    return self._shapes.window_tokens

  def identity(self) -> dict:
    """All that a score depends on."""
    return super().identity() | {
      "vocabulary": self.tokenizer.fingerprint,
      "objective": self.objective.identity(),
      "max_input_tokens": self.max_input_tokens,
    }

  def pack(self, batch: Sequence[str]) -> interface.Packed:
    """Examples of all windows of the texts, in padded batches."""
    texts = [self._text(text) for text in batch]
    examples, owners = [], []
    for number, text in enumerate(texts):
      for window in text.windows:
        made = self._examples(window)
        examples += made
        owners += [number] * len(made)
    planned = self._shapes.batches(examples, multiple=self.judge.rows_multiple)
    seen = [sum(len(w.pieces) for w in text.windows) for text in texts]
    notes = _Notes(
      [text.reason for text in texts],
      np.array(seen, np.int32),
      np.array(owners, int),
      np.array([len(example.targets) for example in examples], int),
      [made.items for made in planned],
    )
    arrays = [self._shapes.arrays(examples, made) for made in planned]
    return interface.Packed(arrays, notes)

  def step(self, arrays: dict[str, np.ndarray]) -> jax.Array:
    """Log-likelihoods [rows] of one batch."""
    with self.judge.devices():
      return teacher_forcing.log_likelihoods(
        self.judge.parameters,
        {name: self.judge.place(array) for name, array in arrays.items()},
        network=self.judge.network,
      )

  def unpack(
    self, packed: interface.Packed, results: list[np.ndarray]
  ) -> interface.Scores:
    """Examples to texts: sums of log-likelihoods, and their means."""
    notes: _Notes = packed.notes
    values = np.full(len(notes.texts), np.nan)
    for items, found in zip(notes.items, results, strict=True):
      values[items] = found[: len(items)]
    count = len(notes.reasons)
    sums = np.bincount(notes.texts, weights=values, minlength=count)
    targets = np.bincount(notes.texts, weights=notes.targets, minlength=count)
    asked = np.array([reason is None for reason in notes.reasons], bool)
    sums = np.where(asked, sums, np.nan)
    columns = {
      "score": (sums / np.maximum(targets, 1)).astype(np.float32),
      "log_likelihood": sums.astype(np.float32),
      "target_tokens": targets.astype(np.int32),
      "document_tokens": notes.seen,
    }
    return interface.Scores(judged.statuses(notes.reasons, sums), columns)

  def _examples(self, window: objectives.Window) -> list[objectives.Example]:
    made = self.objective.examples(window, self.tokenizer)
    if self.judge.starts:
      return made
    # What nothing stands before cannot be predicted.
    return [
      one
      if one.inputs
      else objectives.Example(one.targets[:1], one.targets[1:])
      for one in made
    ]

  def _text(self, text: str) -> _Text:
    """The windows of a text that the objective can be asked about."""
    text = defences.whole_characters(text)
    parts, ends = self._parts(text) if text.strip() else ([[]], True)
    if not parts[0]:
      return _Text([], _EMPTY)
    if len(parts[0]) < self.objective.least:
      return _Text([], _SHORT)
    stream = xxhash.xxh3_64_intdigest(text.encode())
    last = len(parts) - 1
    return _Text(
      [
        objectives.Window(part, number, ends and number == last, stream)
        for number, part in enumerate(parts)
      ],
      None,
    )

  def _parts(self, text: str) -> tuple[list[list[int]], bool]:
    """Pieces of each window, and whether the last one ends the text."""
    longest = self.window_tokens
    if self.windows == Windows.HEAD:
      # One more than is read, to see whether there is more.
      pieces = questions.head(self.tokenizer, text, longest + 1)
      return [pieces[:longest]], len(pieces) <= longest
    pieces = self.tokenizer.encode(text)
    count = max(1, -(-len(pieces) // longest))
    bounds = [n * len(pieces) // count for n in range(count + 1)]
    windows = min(count, self.max_windows)
    kept = [n * (count - 1) // max(1, windows - 1) for n in range(windows)]
    parts = [pieces[bounds[n] : bounds[n + 1]] for n in kept]
    return parts, kept[-1] == count - 1
