# SPDX-License-Identifier: Apache-2.0
"""SelectIT: a model rates instructions, and doubts lower the rating.

A record is rated behind several rating prompts, by one model or several: see
`kernels.self_reflection` for the formulas (arXiv 2402.16705, Section 3). Select
from it with `Top`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from data_efficient.kernels import self_reflection
from data_efficient.models import networks
from data_efficient.models.chat_templates import ChatTemplate
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  answers,
  batching,
  interface,
  judges,
  rating_prompts,
  runner,
)
from data_efficient.scorers.templates import Instruction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rater:
  """A model that rates.

  Attributes:
    judge: the network that is asked.
    tokenizer: the judge's.
    chat: how it was shown conversations; None for a bare prompt.
  """

  judge: judges.Judge
  tokenizer: Tokenizer
  chat: ChatTemplate | None = None

  def __post_init__(self):
    """Raises ValueError where vocabulary and judge do not fit."""
    judges.check_vocabulary(self.judge, self.tokenizer)


class _Notes(NamedTuple):
  """Which rows the batches hold, and why a record has none.

  A row is of (record, rating prompt), records outermost.
  """

  reasons: list[str | None]
  asked: np.ndarray
  raters: list[int]
  items: list[list[int]]


@dataclasses.dataclass(kw_only=True)
class SelectIt:
  """Scores instructions by ratings that agree.

  The columns: "score"; "rating", the mean of the likeliest ratings, over the
  rating prompts and, weighted, the models; "scale_probability", the mean
  probability that what follows is a rating at all; with several models also
  "score_1", "score_2", …, of each alone.

  Attributes:
    raters: one model, or several, which are held at once.
    prompts: what they are asked.
    alpha: α, what disagreement between the prompts costs (the paper: 0.2).
    normalisation: a value of `self_reflection.Normalisation`.
    least_scale_probability: a record of which no model, behind no prompt, gives
      the ratings together at least this much is unscorable(outside the scale).
    max_tokens: of a prompt with its record, which is cut to fit.
    length_step: inputs are padded to a multiple of this many tokens: together
      with `batch_tokens` it fixes the shapes, so that a record's score does not
      depend on its neighbours.
    batch_tokens: tokens of a batch's inputs, padding included.
    part_records: records a part of the score set.
    name: the sampler's name in tables.
  """

  raters: Sequence[Rater]
  prompts: rating_prompts.RatingPrompts
  alpha: float
  normalisation: str
  least_scale_probability: float
  max_tokens: int
  length_step: int
  batch_tokens: int
  part_records: int
  name: str = "selectit"

  reads = interface.Reads.INSTRUCTION

  def __post_init__(self):
    """Raises ValueError for numbers out of range, or raters that do not fit."""
    self.normalisation = self_reflection.Normalisation(self.normalisation)
    if not self.raters:
      raise ValueError("SelectIT needs at least one model that rates")
    if self.alpha < 0:
      raise ValueError(f"alpha = {self.alpha}: expected 0 or more")
    if not 0 <= self.least_scale_probability <= 1:
      raise ValueError(
        f"least_scale_probability = {self.least_scale_probability}: expected a "
        "probability; 0 asks for nothing"
      )
    self._ratings = [
      rating_prompts.Ratings(
        prompts=self.prompts,
        tokenizer=rater.tokenizer,
        max_tokens=self.max_tokens,
        decoder_only=rater.judge.decoder_only,
        chat=rater.chat,
      )
      for rater in self.raters
    ]
    self._buckets = batching.Buckets(
      longest=self.max_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )
    self._parameters = np.array(
      [networks.parameter_count(rater.judge.network) for rater in self.raters]
    )

  def identity(self) -> dict:
    """All that a score depends on."""
    return {
      "name": self.name,
      "raters": [
        {
          "judge": rater.judge.identity(),
          "ratings": ratings.identity(),
          "devices": rater.judge.layout(),
        }
        for rater, ratings in zip(self.raters, self._ratings, strict=True)
      ],
      "alpha": self.alpha,
      "normalisation": str(self.normalisation),
      "least_scale_probability": self.least_scale_probability,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing: a model needs no pass over the pool."""

  def score(self, batch: Sequence[Instruction]) -> interface.Scores:
    """The scores of `n` instructions; see the class for the columns."""
    return runner.score(self, batch)

  def pack(self, batch: Sequence[Instruction]) -> interface.Packed:
    """All orders to rate all records, by all raters, in padded batches."""
    reasons = [
      None if instruction.response.strip() else "empty response"
      for instruction in batch
    ]
    asked = np.flatnonzero([reason is None for reason in reasons])
    arrays, raters, items = [], [], []
    for number, (rater, ratings) in enumerate(
      zip(self.raters, self._ratings, strict=True)
    ):
      inputs = [ids for row in asked for ids in ratings.inputs(batch[row])]
      planned = self._buckets.batches(
        [len(ids) for ids in inputs], multiple=rater.judge.rows_multiple
      )
      pad = functools.partial(
        batching.padded,
        left=rater.judge.decoder_only,
        padding=rater.judge.padding,
      )
      arrays += [(number, pad(inputs, made)) for made in planned]
      raters += [number] * len(planned)
      items += [made.items for made in planned]
    return interface.Packed(arrays, _Notes(reasons, asked, raters, items))

  def step(self, arrays: tuple[int, np.ndarray]) -> jax.Array:
    """Log-probabilities [rows, ratings] of one batch."""
    number, tokens = arrays
    judge = self.raters[number].judge
    with judge.devices():
      return answers.log_probabilities(
        judge.parameters,
        judge.place(tokens),
        network=judge.network,
        answers=self._ratings[number].answers,
      )

  def unpack(
    self, packed: interface.Packed, results: list[Any]
  ) -> interface.Scores:
    """Log-probabilities to ratings, ratings to scores."""
    notes: _Notes = packed.notes
    found = np.full(
      (
        len(self.raters),
        len(notes.asked) * len(self.prompts.orders),
        len(self.prompts.scale),
      ),
      np.nan,
    )
    for rater, items, values in zip(
      notes.raters, notes.items, results, strict=True
    ):
      found[rater, items] = values[: len(items)]
    # [records, models, prompts, ratings]
    sizes = (len(self.raters), len(notes.asked), len(self.prompts.orders))
    found = found.reshape(*sizes, found.shape[-1]).swapaxes(0, 1)
    columns = self._columns(found)
    pairs = zip(columns["score"], self._greatest(found), strict=True)
    statuses = [self._status(score, most) for score, most in pairs]
    return _spread(interface.Scores(statuses, columns), notes)

  def _columns(self, found: np.ndarray) -> dict[str, np.ndarray]:
    probabilities = self_reflection.over_scale(found, self.normalisation)
    sentences = self_reflection.sentence_level(
      self_reflection.token_level(probabilities), alpha=self.alpha
    )
    ratings = self_reflection.base(probabilities).mean(axis=-1)
    columns = {
      "score": self_reflection.model_level(sentences, self._parameters),
      "rating": self_reflection.model_level(ratings, self._parameters),
      "scale_probability": np.exp(found).sum(axis=-1).mean(axis=(1, 2)),
    }
    if len(self.raters) > 1:
      columns |= {
        f"score_{number}": values
        for number, values in enumerate(sentences.T, 1)
      }
    return {name: values.astype(np.float32) for name, values in columns.items()}

  def _greatest(self, found: np.ndarray) -> np.ndarray:
    """The most that any model, behind any prompt, gives the whole scale."""
    return np.exp(found).sum(axis=-1).max(axis=(1, 2))

  def _status(self, score: np.floating, greatest: np.floating) -> str:
    if not np.isfinite(score):
      return interface.unscorable("non-finite")
    if greatest < self.least_scale_probability:
      return interface.unscorable("outside the scale")
    return interface.SCORED


def _spread(scores: interface.Scores, notes: _Notes) -> interface.Scores:
  """Scores of the records that were asked about, among the others."""
  statuses = [interface.unscorable(str(reason)) for reason in notes.reasons]
  for row, status in zip(notes.asked, scores.statuses, strict=True):
    statuses[row] = status
  columns = {}
  for name, values in scores.columns.items():
    columns[name] = np.full(len(statuses), np.nan, np.float32)
    columns[name][notes.asked] = values
  return interface.Scores(statuses, columns)
