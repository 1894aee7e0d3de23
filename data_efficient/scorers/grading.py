# SPDX-License-Identifier: Apache-2.0
"""An LLM judge: responses graded on a scale, and compared with one another.

The grade is the expected one of the judge's own probabilities,

  g = Σ_k k · P(k | prompt) / Σ_k P(k | prompt),

k over the scale's answers, at the place of the answer, as Ask-LLM reads its
"yes" (arXiv 2402.09668, Section 3.1). What stands first may be favoured: a
response is graded with the reference before it and behind it, a pair in both
orders. A judge that would say something else than an answer of the scale has
not graded.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from data_efficient.models import decoder
from data_efficient.models.chat_templates import ChatTemplate
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import (
  answers,
  batching,
  defences,
  interface,
  judges,
  questions,
)
from data_efficient.scorers.rubrics import Rubric

OUTSIDE = interface.unscorable("outside the scale")
TOO_LONG = interface.unscorable("too long")
NON_FINITE = interface.unscorable("non-finite")

Advance = Callable[[int], None]


class GradingError(ValueError):
  """A judge that cannot grade; says what to do."""


class Graded(NamedTuple):
  """A response beside its reference."""

  prompt: str
  reference: str
  response: str


class Compared(NamedTuple):
  """Two responses to one task."""

  prompt: str
  reference: str
  first: str
  second: str


class Said(NamedTuple):
  """What the judge says of some texts.

  Attributes:
    shares: probabilities of the answers, of which 1 is their sum.
    mass: their sum before; NaN where the text does not fit.
    outside: whether the judge would say something else, or its probability on
      the answers is too small, or no number.
    fits: whether it was asked.
  """

  shares: Float64[np.ndarray, "n a"]
  mass: Float64[np.ndarray, " n"]
  outside: Bool[np.ndarray, " n"]
  fits: Bool[np.ndarray, " n"]


@dataclasses.dataclass(kw_only=True)
class Grader:
  """A judge and its rubric.

  Attributes:
    judge: a decoder of the Llama family.
    tokenizer: the judge's.
    rubric: what it is told.
    max_tokens: of its input; what is longer is unscorable.
    least_mass: probability that it must put on the scale's answers, in [0, 1).
    length_step: inputs are padded to a multiple of it.
    batch_tokens: tokens of a batch, padding included.
    part_records: records a part of the score sets.
    chat: how the judge was shown conversations; None for a bare prompt.
    name: in tables.
  """

  judge: judges.Judge
  tokenizer: Tokenizer
  rubric: Rubric
  max_tokens: int
  least_mass: float
  length_step: int
  batch_tokens: int
  part_records: int
  chat: ChatTemplate | None = None
  name: str = "rubric"

  def __post_init__(self):
    """Raises ValueError where judge, vocabulary and numbers do not fit."""
    if not isinstance(self.judge.network, decoder.DecoderConfig):
      raise GradingError(
        f"the judge is a {type(self.judge.network).__name__}: expected a "
        "decoder of the Llama family (gin/models/decoder_from_checkpoint.gin)"
      )
    if not 0.0 <= self.least_mass < 1.0:
      raise GradingError(
        f"least_mass = {self.least_mass}: expected from 0 to less than 1"
      )
    judges.check_vocabulary(self.judge, self.tokenizer)
    self._buckets = batching.Buckets(
      longest=self.max_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )
    self._before, self._after = questions.frame(
      self.tokenizer, "", "", continued=True, chat=self.chat
    )
    self._scale, self._choices = (
      tuple(questions.spelt(self.tokenizer, word, self.chat) for word in words)
      for words in (self.rubric.scale, self.rubric.choices)
    )
    for words in (self._scale, self._choices):
      if len(set(words)) < len(words):
        raise GradingError(
          f"the vocabulary spells two answers alike ({words}): choose others"
        )

  def identity(self) -> dict[str, Any]:
    """All that a grade depends on, JSON-able."""
    chat = {"chat": dataclasses.asdict(self.chat)} if self.chat else {}
    return {
      "name": self.name,
      "judge": self.judge.identity(),
      "vocabulary": self.tokenizer.fingerprint,
      "rubric": dataclasses.asdict(self.rubric),
      "answer_pieces": [*map(list, self._scale), *map(list, self._choices)],
      "max_tokens": self.max_tokens,
      "least_mass": self.least_mass,
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.judge.layout(),
      **chat,
    }

  def grade(
    self, batch: Sequence[Graded], advance: Advance | None = None
  ) -> interface.Scores:
    """Grades responses.

    The columns: "score", the mean of both orders' grades; the grades
    themselves, "reference_first" and "response_first", and "disagreement",
    how far they are apart; "mass", the smaller of both probabilities on the
    scale.
    """
    said = [
      self._asked(
        [self.rubric.grading(*one, reference_first=first) for one in batch],
        self._scale,
        advance,
      )
      for first in (True, False)
    ]
    first, second = (one.shares @ np.array(self.rubric.grades) for one in said)
    columns = {
      "score": (first + second) / 2,
      "reference_first": first,
      "response_first": second,
      "disagreement": np.abs(first - second),
    }
    return _scores(columns, said)

  def compare(
    self, batch: Sequence[Compared], advance: Advance | None = None
  ) -> interface.Scores:
    """Compares pairs.

    The columns: "score", 1 where the first is better in both orders, 0 where
    the second is, 1/2 (a tie) where the orders disagree or the judge is
    undecided; "first_first" and "second_first", the probability that the first
    is better where it stands first, and where it stands last; "mass" as of
    `grade`.
    """
    said = [
      self._asked(
        [
          self.rubric.comparing(
            one.prompt, one.reference, (one.first, one.second)[::step]
          )
          for one in batch
        ],
        self._choices,
        advance,
      )
      for step in (1, -1)
    ]
    before, behind = said[0].shares[:, 0], said[1].shares[:, 1]
    wins = (before > 0.5) & (behind > 0.5)
    losses = (before < 0.5) & (behind < 0.5)
    columns = {
      "score": np.where(wins, 1.0, np.where(losses, 0.0, 0.5)),
      "first_first": before,
      "second_first": behind,
    }
    return _scores(columns, said)

  def check(self, statuses: Sequence[str], mass: Sequence[float]) -> None:
    """Refuses a judge that mostly does not grade.

    Args:
      statuses: of what was asked.
      mass: probabilities on the scale that are known, for the message.

    Raises:
      GradingError: more than half of those that fit have no grade.
    """
    asked = [status for status in statuses if status != TOO_LONG]
    spoilt, outside = asked.count(NON_FINITE), asked.count(OUTSIDE)
    if spoilt * 2 > len(asked):
      raise GradingError(
        f"the judge's probabilities are no numbers for {spoilt:,} of "
        f"{len(asked):,} records: its checkpoint is damaged, or not the one of "
        "its config.json"
      )
    if outside * 2 > len(asked):
      middle = float(np.median(mass)) if len(mass) else float("nan")
      raise GradingError(
        f"the judge answers outside its scale for {outside:,} of "
        f"{len(asked):,} records: it puts {middle:.3g} (median) on its "
        f"answers, least_mass is {self.least_mass:g}. Take a judge that "
        "follows instructions, its family's chat template (gin/models/chat/), "
        "or another question in the rubric; lower LEAST_MASS only if its "
        "answers are the likely ones"
      )

  def _asked(
    self,
    texts: Sequence[str],
    words: tuple[tuple[int, ...], ...],
    advance: Advance | None,
  ) -> Said:
    """Answers to texts; NaN for those that are too long."""
    judge, inputs = self.judge, [self._ids(text) for text in texts]
    fits = np.array([len(ids) <= self.max_tokens for ids in inputs], bool)
    nats = np.full((len(texts), len(words)), np.nan)
    likely = np.full(len(texts), -1)
    fitting = np.flatnonzero(fits)
    kept = [inputs[number] for number in fitting]
    lengths = [len(ids) for ids in kept]
    for made in self._buckets.batches(lengths, multiple=judge.rows_multiple):
      tokens = batching.padded(kept, made, left=True, padding=judge.padding)
      with judge.devices():
        found, first = answers.beside_the_first(
          judge.parameters,
          judge.place(tokens),
          network=judge.network,
          answers=words,
        )
      numbers = fitting[made.items]
      nats[numbers] = np.asarray(found, np.float64)[: len(numbers)]
      likely[numbers] = np.asarray(first)[: len(numbers)]
      if advance:
        advance(len(numbers))
    probabilities = np.exp(nats)
    mass = probabilities.sum(axis=1)
    begins = [pieces[0] for pieces in words]
    with np.errstate(invalid="ignore", divide="ignore"):
      shares = probabilities / mass[:, None]
    outside = ~np.isin(likely, begins) | ~(mass > self.least_mass)
    return Said(shares, mass, outside, fits)

  def _ids(self, text: str) -> list[int]:
    text = defences.whole_characters(text)
    return [*self._before, *self.tokenizer.encode(text), *self._after]


def _scores(
  columns: dict[str, np.ndarray], said: Sequence[Said]
) -> interface.Scores:
  mass = np.minimum(*(one.mass for one in said))
  outside = np.logical_or(*(one.outside for one in said))
  fits = np.logical_and(*(one.fits for one in said))
  statuses = np.select(
    [~fits, ~np.isfinite(mass), outside],
    [TOO_LONG, NON_FINITE, OUTSIDE],
    interface.SCORED,
  )
  columns = {**columns, "mass": mass}
  stored = {name: v.astype(np.float32) for name, v in columns.items()}
  return interface.Scores(statuses.tolist(), stored)
