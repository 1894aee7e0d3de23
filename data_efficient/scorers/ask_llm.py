# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM: the judge's own probability of "yes" to "is this informative?".

  score(x) = log P("yes" | prompt(x))

over the whole vocabulary, in float32, at the first step of the decoder
(Sachdeva et al. 2024, arXiv 2402.09668, Section 3.1, Algorithm 1). An answer
of several pieces is the sum of its teacher-forced pieces.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from data_efficient.models import decoder_only
from data_efficient.scorers import answers, batching, interface, judges, runner
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
  statuses: list[str]
  # Which text a window is of, in the order of `items` of the batches.
  texts: np.ndarray
  items: list[list[int]]
  lengths: np.ndarray


@dataclasses.dataclass(kw_only=True)
class AskLlm:
  """Scores texts by the judge's log P(yes).

  The columns: "score"; "log_p_WORD" for both answers in three casings, as
  far as the vocabulary can spell them; "document_tokens", how many tokens of
  the text were judged, and "windows", in how many pieces.

  Attributes:
    judge: the model that is asked.
    question: what it is asked; part of the score set's identity.
    windows: what is judged of a long document.
    max_windows: windows of a document at most; a longer one is judged by so
      many, spread evenly over it.
    readout: which number is the score.
    length_step: inputs are padded to a multiple of this many tokens: together
      with `batch_tokens` it fixes the shapes, so that a document's score does
      not depend on its neighbours.
    batch_tokens: tokens of a batch, padding included.
    part_records: records a part of the score set.
    name: the sampler's name in tables.
  """

  judge: judges.Judge
  question: Question
  windows: str
  max_windows: int
  readout: str
  length_step: int
  batch_tokens: int
  part_records: int
  name: str = "ask_llm"

  reads = interface.Reads.TEXT

  def __post_init__(self):
    """Raises ValueError where judge, vocabulary and prompt do not fit."""
    self.windows = Windows(self.windows)
    self.readout = Readout(self.readout)
    judges.check_vocabulary(self.judge, self.question.tokenizer)
    self._left = isinstance(self.judge.network, decoder_only.DecoderOnlyConfig)
    if self.question.prompt.continued != self._left:
      family = "decoder-only" if self._left else "encoder–decoder"
      raise ValueError(
        f"the judge is a {family} network, but the prompt's answer "
        f"{'is a text of its own' if self._left else 'continues the prompt'}: "
        f"use prompts.ask_llm{'_continued' if self._left else ''}()"
      )
    if self.max_windows < 1:
      raise ValueError(f"max_windows = {self.max_windows}: expected at least 1")
    self._buckets = batching.Buckets(
      longest=self.question.max_input_tokens,
      step=self.length_step,
      batch_tokens=self.batch_tokens,
    )

  def identity(self) -> dict:
    """All that a score depends on."""
    return {
      "name": self.name,
      "judge": self.judge.identity(),
      "question": self.question.identity(),
      "windows": str(self.windows),
      "max_windows": self.max_windows,
      "readout": str(self.readout),
      "length_step": self.length_step,
      "batch_tokens": self.batch_tokens,
      "devices": self.judge.layout(),
    }

  def prepare(self, read: interface.Read) -> None:
    """Nothing: a judge needs no pass over the corpus."""

  def score(self, batch: Sequence[str]) -> interface.Scores:
    """The scores of `n` texts; see the class for the columns."""
    return runner.score(self, batch)

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
      [
        interface.SCORED if pieces else interface.unscorable("empty")
        for pieces in documents
      ],
      np.array(texts, int),
      [made.items for made in planned],
      np.array([len(pieces) for pieces in documents], np.int32),
    )
    arrays = [
      batching.padded(inputs, made, left=self._left) for made in planned
    ]
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
    statuses = [
      interface.unscorable("non-finite")
      if status == interface.SCORED and not np.isfinite(row).all()
      else status
      for status, row in zip(notes.statuses, texts, strict=True)
    ]
    columns = {
      "score": texts[:, 0],
      **{
        f"log_p_{word}": texts[:, column]
        for column, word in enumerate(self.question.casings, 1)
      },
      "document_tokens": notes.lengths,
      "windows": counts,
    }
    return interface.Scores(statuses, columns)

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
    texts = len(notes.statuses)
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
