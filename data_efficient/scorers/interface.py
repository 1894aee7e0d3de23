# SPDX-License-Identifier: Apache-2.0
"""What a scorer is: records in, one status and some numbers each out.

A scorer opens no file. The verb `score` hands it records part by part and
writes what comes back, so every scorer resumes, and none can lose a record.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from data_efficient.scorers.templates import Instruction

SCORED = "scored"
NOT_REQUESTED = "not_requested"


def unscorable(reason: str) -> str:
  """The status of a record that cannot have a score, and why."""
  return f"unscorable({reason})"


class Reads(enum.Enum):
  """What a scorer is given of a record."""

  TEXT = "text"
  EMBEDDING = "embedding"
  # `templates.Instruction`: prompt and response apart.
  INSTRUCTION = "instruction"
  # Structured arrays: "record", int64, the record's number in the corpus, and
  # "vector" [d].
  NUMBERED_EMBEDDING = "numbered_embedding"


class Scores(NamedTuple):
  """What a scorer says of `n` records, in their order.

  Attributes:
    statuses: one of "scored", "unscorable(reason)" a record.
    columns: name to array of length n (or [n, d]); "score" is the one that
      selectors read. Values of records that are not scored are ignored.
  """

  statuses: list[str]
  columns: dict[str, np.ndarray]


# Some records, as a scorer reads them.
Batch = Sequence[str] | Sequence[Instruction] | np.ndarray

# Streams a split ("pool", "reference") in blocks: lists of texts or of
# instructions, or [n, d] matrices for a scorer that reads embeddings. Two
# numbers more are the first record of it that is wanted, and the one after the
# last.
Read = Callable[..., Iterator[Batch]]


@runtime_checkable
class Scorer(Protocol):
  """(model, records) to one score a record."""

  name: str
  reads: Reads
  part_records: int

  def identity(self) -> dict:
    """All that a score depends on, JSON-able; a part of the score set."""

  def prepare(self, read: Read) -> None:
    """Whatever must be seen before the first score (a sketch, a fit)."""

  def score(self, batch: Batch) -> Scores:
    """Scores of one part's records; the same whatever its neighbours are."""


class Packed(NamedTuple):
  """A part of a corpus, ready for a device.

  Attributes:
    batches: for each step its arrays, of the same few shapes.
    notes: what the scorer needs to make scores of the steps' results.
  """

  batches: list[Any]
  notes: Any


@runtime_checkable
class DeviceScorer(Scorer, Protocol):
  """A scorer whose work is steps on a device; the runner overlaps them.

  `pack` runs in another thread while the device computes, `step` returns
  before its result is there.
  """

  def pack(self, batch: Batch) -> Packed:
    """Records to padded batches; all work of the host happens here."""

  def step(self, arrays: Any) -> Any:
    """Starts one batch on the device; returns arrays that are not there yet."""

  def unpack(self, packed: Packed, results: list[Any]) -> Scores:
    """Scores of a part from what its steps returned, as NumPy arrays."""
