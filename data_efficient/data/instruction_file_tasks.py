# SPDX-License-Identifier: Apache-2.0
"""Tuning on instructions in files: T5, or a decoder with any tokenizer.

What `training.tuning` calls its tasks. All is tokenized ahead, with the
network's own tokenizer, and held in memory, 4 bytes a token. Row i of a run is
a function of (seed, i) (`instruction_rows`); no row holds two examples, but
those that are shown to its query.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import seqio

from data_efficient import processes
from data_efficient.data import (
  context_rows,
  corpora,
  instruction_overlap,
  instruction_rows,
  instructions,
  row_mixtures,
  row_source,
  tasks,
  token_ids,
)
from data_efficient.data.instruction_rows import RowsError
from data_efficient.models import (
  decoder,
  encoder_decoder,
  tokenizers,
)
from data_efficient.scorers import templates

IN_CONTEXT_LABEL = "{}_in_context"


class Kind(enum.StrEnum):
  """What a row is."""

  ALONE = "alone"
  IN_CONTEXT = "in_context"
  TEXT = "text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstructionFiles:
  """Rows of a pool, and what is watched along the way.

  Attributes:
    pool: what is trained on.
    watched: label -> records; with rows in context in the mixture, those are
      watched, too, as LABEL_in_context, each with examples of its own files.
    network: a decoder (`decoder.DecoderConfig`) or a T5.
    template: of all texts.
    inputs: tokens: of a decoder, the positions of a row.
    targets: tokens of a T5's targets; of a decoder as many as `inputs`.
    shares: of the mixture, by `Kind`: {"alone": 1.0}.
    shots: examples in context: one of these numbers, drawn for every row.
    example_tokens: of an example, at most: longer ones are not shown.
    separator: text between two examples.
    text: what rows of plain text are read from; None where they have no share.
  """

  pool: instructions.Instructions
  watched: Mapping[str, instructions.Instructions]
  network: decoder.DecoderConfig | encoder_decoder.T5Config
  template: templates.Template
  inputs: int
  targets: int
  shares: Mapping[str, float]
  shots: Sequence[int]
  example_tokens: int
  separator: str
  text: corpora.Corpus | None = None

  def __post_init__(self):
    """Raises RowsError for what cannot be mixed."""
    kinds, total = set(map(str, Kind)), sum(self.shares.values())
    if not set(self.shares) <= kinds or abs(total - 1.0) > 1e-6:
      raise RowsError(
        f"SHARES = {dict(self.shares)}: expected shares of {sorted(kinds)} that"
        f" sum to 1, not {total:g}"
      )
    least = 1 / row_mixtures.Mixture.BLOCK
    if any(0 < share < least or share < 0 for share in self.shares.values()):
      raise RowsError(
        f"SHARES = {dict(self.shares)}: a share is 0, or {least:g} or more"
      )
    if self._has(Kind.TEXT) != (self.text is not None):
      raise RowsError(
        "rows of plain text are read from TEXT and have a share 'text' in"
        " SHARES: bind both or neither"
      )
    if not self._decoder_only and self._has(Kind.TEXT):
      raise RowsError(
        "plain text is for decoders: a T5 learns from it otherwise"
      )
    if self._has(Kind.IN_CONTEXT) and not (self.shots and min(self.shots) > 0):
      raise RowsError(f"SHOTS = {self.shots}: expected numbers from 1")

  def training(self, vocabulary: tokenizers.Tokenizer) -> tasks.TaskName:
    """Registers the endless mixture.

    Raises:
      RowsError: nothing fits (says why), or no examples of one task.
      CorpusError: a file that is missing or damaged.
    """
    encoder = self._encoder(vocabulary)
    found = self._read(self.pool, encoder, "the pool")
    rows = {
      Kind.ALONE: lambda: instruction_rows.Alone(found),
      Kind.IN_CONTEXT: lambda: self._in_context(
        self.pool, found, encoder, "the pool"
      ),
      Kind.TEXT: lambda: self._text(encoder),
    }
    mixture = row_mixtures.Mixture(
      [(self.shares[kind], rows[kind]()) for kind in Kind if self._has(kind)]
    )
    return self._register(vocabulary, lambda shuffle, seed: mixture.draw)

  def evaluations(
    self, vocabulary: tokenizers.Tokenizer
  ) -> dict[str, tasks.TaskName]:
    """Registers what is watched: label -> task, each record once.

    Raises:
      RowsError: nothing fits.
      CorpusError: a file that is missing or damaged.
    """
    encoder = self._encoder(vocabulary)
    made = {}
    for label, records in self.watched.items():
      self._tell_shared(label, records)
      found = self._read(records, encoder, label)
      alone = instruction_rows.Alone(found)
      made[label] = self._finite(vocabulary, alone, alone.at)
      if self._has(Kind.IN_CONTEXT):
        shown = self._in_context(records, found, encoder, label)
        name = IN_CONTEXT_LABEL.format(label)
        made[name] = self._finite(vocabulary, shown, None)
    return made

  def describe(self) -> dict[str, Any]:
    """What the losses of two runs must share to be compared."""
    return {
      "watched": {
        label: records.identity() for label, records in self.watched.items()
      },
      "template": dataclasses.asdict(self.template),
      "shots": list(self.shots) if self._has(Kind.IN_CONTEXT) else [],
      "example_tokens": self.example_tokens,
      "separator": self.separator,
    }

  def _tell_shared(
    self, label: str, records: instructions.Instructions
  ) -> None:
    """Says how many watched records are trained on."""
    found = instruction_overlap.shared(records, self.pool)
    if found and processes.is_first():
      print(
        f"{len(found):,} of {len(records.records):,} records of {label} have"
        " the prompt of one in the pool: what is watched is not new to the"
        " network; gin/runs/split.gin makes sets that share none"
      )

  @property
  def _decoder_only(self) -> bool:
    return isinstance(self.network, decoder.DecoderConfig)

  def _has(self, kind: Kind) -> bool:
    return self.shares.get(kind, 0.0) > 0.0

  def _encoder(
    self, vocabulary: tokenizers.Tokenizer
  ) -> instruction_rows.Encoder:
    window = instruction_rows.Window(
      self.inputs, self.targets, self._decoder_only
    )
    return instruction_rows.Encoder(vocabulary, self.template, window)

  def _read(
    self,
    records: instructions.Instructions,
    encoder: instruction_rows.Encoder,
    label: str,
  ) -> instruction_rows.Read:
    found = instruction_rows.read(records.records, encoder, label=label)
    said = ", ".join(f"{n:,} {why}" for why, n in found.left_out.items())
    if not len(found.numbers):
      raise RowsError(
        f"no record of {label} ({records.pattern!r}) can be trained on or"
        f" watched: {said or 'there is none'}; name other files or fields, or"
        " raise MAX_TOKENS (of a T5, INPUTS and TARGETS)"
      )
    if said and processes.is_first():
      print(
        f"{sum(found.left_out.values()):,} of {len(records.records):,} records"
        f" of {label} are left out: {said}"
      )
    return found

  def _in_context(
    self,
    records: instructions.Instructions,
    found: instruction_rows.Read,
    encoder: instruction_rows.Encoder,
    label: str,
  ) -> context_rows.InContext:
    return context_rows.InContext(
      records.records,
      records.tasks,
      found,
      encoder,
      context_rows.Shots(self.shots, self.example_tokens, self.separator),
      label=label,
    )

  def _text(self, encoder: instruction_rows.Encoder) -> instruction_rows.Text:
    texts = [
      record.text
      for shard in self.text.shards()
      for record in self.text.read(shard)
    ]
    return instruction_rows.Text(
      texts, count=len(texts), encoder=encoder, label=self.text.name
    )

  def _finite(
    self,
    vocabulary: tokenizers.Tokenizer,
    rows: instruction_rows.Rows,
    at: Callable[[int], instruction_rows.Row] | None,
  ) -> tasks.TaskName:
    """Registers rows that are read once; `at` is their order in the files."""

    def reader(shuffle: bool, seed: int):
      if shuffle or at is None:
        return rows.draw
      return lambda number, seed: at(number)

    return self._register(vocabulary, reader, count=len(rows))

  def _register(
    self,
    vocabulary: tokenizers.Tokenizer,
    reader: Callable[[bool, int], Callable[[int, int], instruction_rows.Row]],
    count: int | None = None,
  ) -> tasks.TaskName:
    if self._decoder_only:
      known = token_ids.TokenIds(vocabulary)
    else:
      known = tasks.seqio_vocabulary(vocabulary)
    feature = seqio.Feature(known, add_eos=False)
    name = f"instruction_files_{len(seqio.TaskRegistry.names())}"
    seqio.TaskRegistry.add(
      name,
      source=row_source.RowSource(reader, count),
      output_features={name: feature for name in row_source.FEATURES},
      shuffle_buffer_size=None,
    )
    return name
