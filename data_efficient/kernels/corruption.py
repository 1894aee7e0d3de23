# SPDX-License-Identifier: Apache-2.0
"""T5's span corruption on the host, for scoring: one text, one mask.

The same distribution as the training task's (`data.preprocessors`), after
Raffel et al. 2020 (arXiv 1910.10683, Section 3.1.4): a share of the tokens, in
a fixed number of spans, is replaced by one sentinel a span. Here a mask comes
from a counter: it depends on (seed, stream, start) and the length alone,
whichever process draws it and whatever was drawn before.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from data_efficient.kernels import sampling

Mask = Bool[np.ndarray, " t"]


class Counts(NamedTuple):
  """How many tokens of a text are masked, and in how many spans."""

  masked: int
  spans: int


class Corrupted(NamedTuple):
  """Token ids of both sides, without end-of-sequence.

  Attributes:
    inputs: the kept tokens, and a sentinel in place of each masked span.
    targets: each sentinel, followed by its span.
  """

  inputs: list[int]
  targets: list[int]


def counts(
  length: int, *, noise_density: float, mean_span_length: float
) -> Counts:
  """The numbers that the length of a text fixes.

  Args:
    length: tokens of the text, at least 2: one is kept, one is masked.
    noise_density: share of tokens that is masked, in (0, 1).
    mean_span_length: mean tokens of a masked span, at least 1.

  Raises:
    ValueError: a text that is too short, or a number outside its range.
  """
  if length < 2 or not 0 < noise_density < 1 or mean_span_length < 1:
    raise ValueError(
      f"{length} tokens, noise_density = {noise_density}, mean_span_length ="
      f" {mean_span_length}: expected at least 2 tokens, a share between 0 and"
      " 1, and spans of at least 1"
    )
  # float32 and halves to even, as in the training task.
  share = np.float32(length) * np.float32(noise_density)
  masked = min(max(int(np.round(share)), 1), length - 1)
  spans = np.float32(masked) / np.float32(mean_span_length)
  spans = max(int(np.round(spans)), 1)
  return Counts(masked, min(spans, masked, length - masked))


def noise_mask(
  length: int,
  *,
  noise_density: float,
  mean_span_length: float,
  seed: int,
  stream: int,
  start: int,
) -> Mask:
  """Which tokens of a text are masked: kept and masked spans in turn.

  It begins with a kept span and ends with a masked one; the spans' lengths are
  uniform over all ways to cut both kinds of token into `counts(…).spans`.

  Args:
    length: tokens of the text, at least 2.
    noise_density: see `counts`.
    mean_span_length: see `counts`.
    seed: 64 bits.
    stream: of the text, 64 bits: a hash of it.
    start: first position of the stream's counter; `length` are used.

  Raises:
    ValueError: see `counts` and `sampling.uniforms`.
  """
  masked, spans = counts(
    length, noise_density=noise_density, mean_span_length=mean_span_length
  )
  keys = sampling.uniforms(seed=seed, stream=stream, count=length, start=start)
  kept = length - masked
  lengths = np.empty(2 * spans, np.int64)
  lengths[::2] = _partition(kept, spans, keys[: kept - 1])
  lengths[1::2] = _partition(masked, spans, keys[kept : length - 1])
  return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)


def _partition(
  items: int, pieces: int, keys: np.ndarray
) -> Int[np.ndarray, " p"]:
  """Positive lengths that add up to `items`: cuts where keys are smallest."""
  cuts = np.sort(np.argsort(keys, kind="stable")[: pieces - 1]) + 1
  return np.diff(cuts, prepend=0, append=items)


def corrupted(
  tokens: Sequence[int], mask: Mask, *, first_sentinel: int
) -> Corrupted:
  """Both sides of a masked text.

  Args:
    tokens: ids of the text [t].
    mask: which of them are masked.
    first_sentinel: id of the first sentinel; the next is one less, and so on.
  """
  ids = np.asarray(tokens, np.int64)
  return Corrupted(
    _with_sentinels(ids, mask, first_sentinel),
    _with_sentinels(ids, ~mask, first_sentinel),
  )


def _with_sentinels(ids: np.ndarray, masked: Mask, first: int) -> list[int]:
  """Each masked run becomes one sentinel; ids count down from the first."""
  begins = masked & ~np.concatenate([[False], masked[:-1]])
  sentinels = first + 1 - np.cumsum(begins)
  return np.where(begins, sentinels, ids)[begins | ~masked].tolist()
