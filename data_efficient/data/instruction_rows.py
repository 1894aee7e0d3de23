# SPDX-License-Identifier: Apache-2.0
"""Instructions as rows of token ids, to train on: inputs, then targets.

  alone       begin · alone · query_alone(x)               answer(y) · end
  in context  begin · example(x₁, y₁) · … · query(x)       answer(y) · end
  text        begin, or its first token                    all others · end

An encoder–decoder has no begin, and an end behind its inputs, too. The parts
are those of `templates.Template`, each tokenised by itself, as in
`pair_tokens`. Nothing is cut: what does not fit is left out and counted.
"""

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from data_efficient import progress
from data_efficient.models.tokenizers import Tokenizer
from data_efficient.scorers import defences
from data_efficient.scorers.templates import Instruction, Template

# A stream of a seed's random numbers; `context_rows` has another.
_ORDER = 0


class RowsError(ValueError):
  """Nothing to train on; says why, and what to do."""


class Row(NamedTuple):
  """One example of a task: int32 ids. The loss is of `targets` alone."""

  inputs: np.ndarray
  targets: np.ndarray


@runtime_checkable
class Rows(Protocol):
  """Rows of one kind, in an order of their own for every seed."""

  def __len__(self) -> int:
    """Rows of an epoch."""

  def draw(self, number: int, seed: int) -> Row:
    """The row of a draw: `len` of them are an epoch, in which each is once."""


class Ragged:
  """Sequences of ids, one behind the other in one array.

  Args:
    sequences: read once.
  """

  def __init__(self, sequences: Iterable[Sequence[int]]):
    lengths, pieces = [0], []
    for sequence in sequences:
      pieces.append(np.asarray(sequence, np.int32))
      lengths.append(len(sequence))
    self._ends = np.cumsum(lengths)
    self._ids = np.concatenate([np.zeros(0, np.int32), *pieces])

  def __len__(self) -> int:
    return len(self._ends) - 1

  def __getitem__(self, number: int) -> np.ndarray:
    return self._ids[self._ends[number] : self._ends[number + 1]]

  @property
  def lengths(self) -> np.ndarray:
    """Ids of each."""
    return np.diff(self._ends)


class Window(NamedTuple):
  """What a row may hold.

  Attributes:
    inputs: tokens, at most; of a decoder positions of the row, of which the
      last token, which is only predicted, needs none.
    targets: tokens, at most.
    decoder_only: whether both share a row of `inputs` positions.
  """

  inputs: int
  targets: int
  decoder_only: bool

  def room(self, targets: int) -> int:
    """Tokens that inputs before so many targets may have."""
    return self.inputs + 1 - targets if self.decoder_only else self.inputs

  def fits(self, inputs: int, targets: int) -> bool:
    """Whether so many tokens fit."""
    whole = self.decoder_only or targets <= self.targets
    return whole and inputs <= self.room(targets)


class Encoder:
  """Text to ids, part by part.

  Args:
    tokenizer: the network's.
    template: of the texts; an end follows every answer, whatever it says.
    window: of the rows.
  """

  def __init__(self, tokenizer: Tokenizer, template: Template, window: Window):
    self._tokenizer, self._template = tokenizer, template
    self.window = window
    only = window.decoder_only
    self.begin = [*tokenizer.begin_ids] if only else []
    self.end = [] if only else [tokenizer.eos_id]
    self.eos_id = tokenizer.eos_id

  def text(self, text: str) -> list[int]:
    """Ids of a text, without marks."""
    return self._tokenizer.encode(defences.whole_characters(text))

  def part(self, name: str, instruction: Instruction) -> list[int]:
    """Ids of a part of the template; of an answer, the end is the last."""
    ids = self.text(self._template.fill(name, instruction))
    return [*ids, self.eos_id] if name == "answer" else ids

  def alone(self, instruction: Instruction) -> tuple[list[int], list[int]]:
    """Inputs and targets of a record without examples."""
    inputs = [
      *self.begin,
      *self.text(self._template.alone),
      *self.part("query_alone", instruction),
      *self.end,
    ]
    return inputs, self.part("answer", instruction)


class Read(NamedTuple):
  """Records that fit, as ids.

  Attributes:
    numbers: which records they are.
    inputs: of the rows.
    targets: of the rows, the end included.
    left_out: reason -> records.
  """

  numbers: np.ndarray
  inputs: Ragged
  targets: Ragged
  left_out: dict[str, int]


def read(
  records: Sequence[Instruction], encoder: Encoder, *, label: str
) -> Read:
  """Tokenizes records; those that do not fit are left out.

  Args:
    records: all.
    encoder: how.
    label: of the progress bar.
  """
  left_out: collections.Counter[str] = collections.Counter()
  numbers, found = [], []
  each = progress.over(records, f"tokenize {label}", total=len(records))
  for number, record in enumerate(each):
    inputs, targets = encoder.alone(record)
    reason = _reason(record, inputs, targets, encoder.window)
    if reason:
      left_out[reason] += 1
      continue
    numbers.append(number)
    found.append((np.array(inputs, np.int32), np.array(targets, np.int32)))
  return Read(
    np.array(numbers, np.int64),
    Ragged(inputs for inputs, _ in found),
    Ragged(targets for _, targets in found),
    dict(left_out),
  )


def _reason(
  record: Instruction, inputs: list[int], targets: list[int], window: Window
) -> str | None:
  if not record.response.strip() or len(targets) < 2:
    return "empty response"
  if not inputs:
    return "empty query"
  return None if window.fits(len(inputs), len(targets)) else "too long"


def order(count: int, *, seed: int, epoch: int) -> np.ndarray:
  """The numbers below `count` as a permutation of a seed and an epoch."""
  return np.random.default_rng((seed, _ORDER, epoch)).permutation(count)


class Ordered:
  """Epochs, each in an order of its own; the last one is kept at hand."""

  def __init__(self, count: int):
    self._count = count
    self._last: tuple[tuple[int, int], np.ndarray] | None = None

  def __len__(self) -> int:
    return self._count

  def place(self, number: int, seed: int) -> int:
    """The record of a draw."""
    epoch, place = divmod(number, self._count)
    last = self._last
    if last is None or last[0] != (seed, epoch):
      made = order(self._count, seed=seed, epoch=epoch)
      self._last = last = ((seed, epoch), made)
    return int(last[1][place])


class Alone(Ordered):
  """`Rows` of a query and its answer.

  Args:
    found: the records.
  """

  def __init__(self, found: Read):
    super().__init__(len(found.numbers))
    self._found = found

  def at(self, place: int) -> Row:
    """The row of a record, in the records' order."""
    return Row(self._found.inputs[place], self._found.targets[place])

  def draw(self, number: int, seed: int) -> Row:
    """See `Rows`."""
    return self.at(self.place(number, seed))


class Text(Ordered):
  """`Rows` of plain text, for a decoder: each token from those before it.

  A text that is longer than the window makes several rows of like length; the
  last token of one is the first of the next, so that each is predicted once.

  Args:
    texts: documents; empty ones are left out.
    count: of them.
    encoder: of a decoder.
    label: of the progress bar.

  Raises:
    RowsError: there is no text.
  """

  def __init__(
    self, texts: Iterable[str], *, count: int, encoder: Encoder, label: str
  ):
    length = encoder.window.inputs

    def rows():
      for text in progress.over(texts, f"tokenize {label}", total=count):
        if text.strip():
          ids = [*encoder.begin, *encoder.text(text), encoder.eos_id]
          yield from pieces(ids, length)

    self._rows = Ragged(rows())
    if not len(self._rows):
      raise RowsError(f"{label}: there is no text in it: name other TEXT")
    super().__init__(len(self._rows))

  def draw(self, number: int, seed: int) -> Row:
    """See `Rows`."""
    row = self._rows[self.place(number, seed)]
    return Row(row[:1], row[1:])


def pieces(ids: Sequence[int], length: int) -> list[Sequence[int]]:
  """Cuts ids into pieces that predict at most `length` tokens each."""
  predicted = len(ids) - 1
  count = -(-predicted // length)
  ends = [predicted * number // count for number in range(count + 1)]
  return [
    ids[start : end + 1] for start, end in zip(ends, ends[1:], strict=False)
  ]
