# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM: the judge's own probability of "yes" to "is this informative?".

  score(x) = log P("yes" | prompt(x))

over the whole vocabulary, in float32, at the first step of the decoder
(Sachdeva et al. 2024, arXiv 2402.09668, Section 3.1, Algorithm 1). An answer
of several pieces is the sum of its teacher-forced pieces.
"""

import dataclasses
import enum
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from data_efficient.scorers import answers, batching, interface, judged
from data_efficient.scorers.questions import Question


class Windows(enum.StrEnum):
  """What is judged of a document that is longer than the judge's window.

  HEAD is its beginning, as many tokens as fit. MEAN and MIN judge windows of
  that length which cover it evenly, and take the mean of their
  log-probabilities, or the window that is least likely a "yes".
  """

  HEAD = "head"
  MEAN = "mean"
  MIN = "min"


class Readout(enum.StrEnum):
  """Which number is the score; the others are stored beside it.

  YES is log P(yes) over the whole vocabulary: the paper's. YES_OR_NO is
  log P(yes) − log (P(yes) + P(no)). CASINGS sums P over "yes", "Yes", "YES".
  """

  YES = "yes"
  YES_OR_NO = "yes_or_no"
  CASINGS = "casings"


class _Notes(NamedTuple):
  reasons: list[str | None]
  # Which text a window is of, in the order of `items` of the batches.
  texts: np.ndarray
  items: list[list[int]]
  lengths: np.ndarray


@dataclasses.dataclass(kw_only=True)
class AskLlm(judged.Judged):
  """Scores texts by the judge's log P(yes).

  The columns: "score"; "log_p_WORD" for both answers in three casings, as
  far as the vocabulary can spell them; "document_tokens", how many tokens of
  the text were judged, and "windows", in how many pieces.

  Attributes:
    question: what the judge is asked; part of the score set's identity.
    readout: which number is the score.
  """

  question: Question
  readout: str
  name: str = "ask_llm"

  def __post_init__(self):
    """Raises ValueError where judge, vocabulary and prompt do not fit."""
    self.windows = Windows(self.windows)
    self.readout = Readout(self.readout)
    self.check(self.question.tokenizer)
    self._left = self.judge.decoder_only
    if self.question.prompt.continued != self._left:
      raise ValueError(
        f"the judge is a {self.judge.family} network, but the prompt's answer "
        f"{'is a text of its own' if self._left else 'continues the prompt'}: "
        f"use prompts.ask_llm{'_continued' if self._left else ''}()"
      )
    self._buckets = self.buckets(self.question.max_input_tokens)

  def identity(self) -> dict:
    """All that a score depends on."""
    return super().identity() | {
      "question": self.question.identity(),
      "readout": str(self.readout),
    }

  def pack(self, batch: Sequence[str]) -> interface.Packed:
    """Prompts of all windows of the texts, in padded batches."""
    documents = [self._document(text) for text in batch]
    inputs, texts = [], []
    for number, pieces in enumerate(documents):
      for window in self._windows_of(pieces):
        inputs.append(self.question.input_ids(window))
        texts.append(number)
    planned = self._buckets.batches(
      [len(ids) for ids in inputs], multiple=self.judge.rows_multiple
    )
    notes = _Notes(
      [None if pieces else "empty" for pieces in documents],
      np.array(texts, int),
      [made.items for made in planned],
      np.array([len(pieces) for pieces in documents], np.int32),
    )
    pad = functools.partial(
      batching.padded, left=self._left, padding=self.judge.padding
    )
    arrays = [pad(inputs, made) for made in planned]
    return interface.Packed(arrays, notes)

  def step(self, arrays: np.ndarray) -> jax.Array:
    """Log-probabilities [rows, answers] of one batch."""
    with self.judge.devices():
      return answers.log_probabilities(
        self.judge.parameters,
        self.judge.place(arrays),
        network=self.judge.network,
        answers=tuple(self.question.casings.values()),
      )

  def unpack(
    self, packed: interface.Packed, results: list[np.ndarray]
  ) -> interface.Scores:
    """Windows to documents, log-probabilities to scores."""
    notes: _Notes = packed.notes
    answers_ = len(self.question.casings)
    values = np.full((len(notes.texts), answers_), np.nan, np.float32)
    for items, found in zip(notes.items, results, strict=True):
      values[items] = found[: len(items)]
    windows = np.column_stack([self._read(values), values])
    texts, counts = self._merged(windows, notes)
    columns = {
      "score": texts[:, 0],
      **{
        f"log_p_{word}": texts[:, column]
        for column, word in enumerate(self.question.casings, 1)
      },
      "document_tokens": notes.lengths,
      "windows": counts,
    }
    return interface.Scores(judged.statuses(notes.reasons, texts), columns)

  def _document(self, text: str) -> list[int]:
    return self.question.document(text, whole=self.windows != Windows.HEAD)

  def _windows_of(self, pieces: list[int]) -> list[list[int]]:
    """The parts of a document that are judged; none of an empty one."""
    length = self.question.document_tokens
    if self.windows == Windows.HEAD or len(pieces) <= length:
      return [pieces[:length]] if pieces else []
    count = min(-(-len(pieces) // length), self.max_windows)
    starts = np.linspace(0, len(pieces) - length, count).astype(int)
    return [pieces[start : start + length] for start in starts]

  def _merged(
    self, windows: np.ndarray, notes: _Notes
  ) -> tuple[np.ndarray, np.ndarray]:
    """One row a text, its score first, and how many windows it had."""
    texts = len(notes.reasons)
    merged = np.full((texts, windows.shape[1]), np.nan, np.float32)
    counts = np.bincount(notes.texts, minlength=texts).astype(np.int32)
    ends = np.cumsum(counts)
    for text, (end, count) in enumerate(zip(ends, counts, strict=True)):
      rows = windows[end - count : end]
      if count and self.windows == Windows.MIN:
        merged[text] = rows[rows[:, 0].argmin()]
      elif count:
        merged[text] = rows.mean(axis=0, dtype=np.float64)
    return merged, counts

  def _read(self, values: np.ndarray) -> np.ndarray:
    """The score of each row of log-probabilities."""
    prompt, words = self.question.prompt, list(self.question.casings)
    of = dict(zip(words, values.T, strict=True))
    yes, no = of[prompt.positive], of[prompt.negative]
    if self.readout == Readout.YES_OR_NO:
      return yes - np.logaddexp(yes, no)
    if self.readout == Readout.CASINGS:
      said = [of[w] for w in words if w.lower() == prompt.positive.lower()]
      return np.logaddexp.reduce(said, axis=0)
    return yes
