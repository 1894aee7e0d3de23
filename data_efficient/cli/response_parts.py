# SPDX-License-Identifier: Apache-2.0
"""Responses, part by part: what `respond` keeps until all are there.

A part is answered in batches of its own records, so that its bytes are the
same whoever answers it, and whatever was before.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from data_efficient.data import artifacts, in_context, instruction_rows
from data_efficient.models import tokenizers
from data_efficient.scorers import interface, retrieval, templates
from data_efficient.scorers.templates import Instruction
from data_efficient.training import responding

KIND = "responses"


class Answer(NamedTuple):
  """What came of a record.

  Attributes:
    status: "scored", or why there is no response.
    ids: of the response, its end included where it ended.
    prompt_tokens: of the prompt.
    shown: examples in the prompt.
    example_cut: whether the nearest of them is not whole.
    nats: −log p of the reference, its end included; NaN where it does not fit.
    reference_tokens: of the reference, its end included.
  """

  status: str
  ids: list[int]
  prompt_tokens: int
  shown: int
  example_cut: bool
  nats: float
  reference_tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asking:
  """How records are asked.

  Attributes:
    responder: what answers.
    template: of the texts; the one that was trained with.
    separator: text between two examples.
    losses: whether references are scored, too.
  """

  responder: responding.Responder
  template: templates.Template
  separator: str
  losses: bool

  def __post_init__(self):
    """Raises ValueError for a tokenizer that cannot be read back."""
    if not hasattr(self.responder.tokenizer, "decode"):
      raise tokenizers.TokenizerError(
        f"{type(self.responder.tokenizer).__name__} makes no text of ids: name "
        "the model's own tokenizer as VOCABULARY"
      )

  def identity(self) -> dict[str, Any]:
    """All that a response depends on, beside the records."""
    return {
      "responder": self.responder.identity(),
      "template": dataclasses.asdict(self.template),
      "separator": self.separator,
      "losses": self.losses,
    }

  def answers(
    self,
    records: Sequence[Instruction],
    examples: Sequence[Sequence[Instruction]],
    advance: Callable[[int], None],
  ) -> list[Answer]:
    """Asks some records.

    Args:
      records: what is asked, and the references.
      examples: of each record, nearest first.
      advance: told of records as they are done.
    """
    encoder = self._encoder()
    separator = encoder.text(self.separator) if self.separator else []
    prompts = [
      in_context.prompt(
        record,
        shown,
        encoder=encoder,
        separator=separator,
        room=self.responder.room,
      )
      for record, shown in zip(records, examples, strict=True)
    ]
    wanted = [encoder.part("answer", record) for record in records]
    reasons = list(map(_reason, records, prompts))
    asked = [n for n, reason in enumerate(reasons) if reason is None]
    ids = [prompts[n].ids for n in asked]
    found = dict(zip(asked, self.responder.respond(ids, advance), strict=True))
    advance(len(records) - len(asked))
    nats = np.full(len(records), np.nan)
    if self.losses and asked:
      nats[asked] = -self.responder.log_likelihoods(
        ids, [wanted[n] for n in asked]
      )
    return [
      Answer(
        interface.unscorable(reason) if reason else interface.SCORED,
        found.get(n, []),
        len(prompts[n].ids),
        prompts[n].shown,
        prompts[n].cut,
        float(nats[n]),
        len(wanted[n]),
      )
      for n, reason in enumerate(reasons)
    ]

  def _encoder(self) -> instruction_rows.Encoder:
    window = instruction_rows.Window(
      self.responder.room,
      self.responder.answer_tokens,
      self.responder.decoder_only,
    )
    return instruction_rows.Encoder(
      self.responder.tokenizer, self.template, window
    )


def name(number: int) -> str:
  """Of a part's file."""
  return f"{number:05d}.parquet"


def write(
  writer: artifacts.Writer,
  number: int,
  answers: Sequence[Answer],
  near: Sequence[Sequence[retrieval.Near]],
) -> None:
  """Writes a part, with the examples that were found for each record."""
  columns = dict(zip(Answer._fields, zip(*answers, strict=True), strict=True))
  types = {"ids": pa.list_(pa.int32()), "nats": pa.float64()}
  arrays = {
    field: pa.array(list(values), types.get(field))
    for field, values in columns.items()
  }
  arrays["near"] = pa.array(
    [[one.number for one in row] for row in near], pa.list_(pa.int64())
  )
  arrays["cosines"] = pa.array(
    [[one.cosine for one in row] for row in near], pa.list_(pa.float32())
  )
  writer.write_table(name(number), pa.table(arrays))


def read(
  directory: artifacts.PathLike, parts: int
) -> tuple[list[Answer], list[list[retrieval.Near]]]:
  """All answers of a finished set, and the examples that were found."""
  manifest = artifacts.read_manifest(directory, kind=KIND)
  answers, near = [], []
  for number in range(parts):
    for row in manifest.read_table(name(number)).to_pylist():
      pairs = zip(row.pop("near"), row.pop("cosines"), strict=True)
      near.append([retrieval.Near(*pair) for pair in pairs])
      answers.append(Answer(**row))
  return answers, near


def _reason(record: Instruction, prompt: in_context.Prompt) -> str | None:
  if not record.response.strip():
    return "empty response"
  if not record.prompt.strip():
    return "empty query"
  return prompt.reason
