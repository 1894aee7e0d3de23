# SPDX-License-Identifier: Apache-2.0
"""What `respond` writes of its responses: values, counts and a line each."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_efficient.cli.response_parts import Answer
from data_efficient.data import instructions
from data_efficient.evaluation import response_metrics
from data_efficient.scorers import interface, retrieval
from data_efficient.training import responding


@dataclasses.dataclass(frozen=True, kw_only=True)
class InContext:
  """What stands before a query.

  Attributes:
    examples: what is shown: with `selection`, the kept records alone.
    retrieval: which of them.
  """

  examples: instructions.Instructions
  retrieval: retrieval.Retrieval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
  """What is measured of the responses.

  Attributes:
    metrics: some of `response_metrics.METRICS`.
    embedder: for "similarity", any scorer that embeds texts; None without.
    resamples: bootstrap samples.
    seed: of these.
  """

  metrics: Sequence[str]
  embedder: interface.Scorer | None
  resamples: int
  seed: int

  def __post_init__(self):
    """Refuses what cannot be measured; see `response_metrics.check`."""
    response_metrics.check(self.metrics)
    if response_metrics.SIMILARITY in self.metrics and self.embedder is None:
      raise response_metrics.ResponseMetricError(
        "METRICS has 'similarity', which needs an embedder: give the gin file "
        "of one behind this one (gin/scorers/latent_semantic.gin, "
        "gin/scorers/minilm.gin), or leave it out"
      )


class Found(NamedTuple):
  """All that came of the test.

  Attributes:
    answers: of each record.
    near: of each record, the examples that were found.
    responses: texts.
  """

  answers: list[Answer]
  near: list[list[retrieval.Near]]
  responses: list[str]


def values(
  measures: Measures,
  test: instructions.Instructions,
  found: Found,
  scored: Sequence[int],
) -> tuple[dict[str, np.ndarray], response_metrics.Losses | None]:
  """Metric -> values of the scored records, and their losses."""
  responses = [found.responses[n] for n in scored]
  references = [test.records[n].response for n in scored]
  asked, values = set(measures.metrics), {}
  if asked & set(response_metrics.ROUGE):
    both = response_metrics.rouge(responses, references)
    values |= {name: both[name] for name in both if name in asked}
  if response_metrics.SIMILARITY in asked:
    values[response_metrics.SIMILARITY] = response_metrics.similarity(
      responses, references, measures.embedder
    )
  if response_metrics.EXACT in asked:
    values[response_metrics.EXACT] = response_metrics.exact(
      responses, references
    )
  if response_metrics.LOSS not in asked:
    return values, None
  own = [found.answers[n] for n in scored]
  losses = response_metrics.Losses(
    np.array([answer.nats for answer in own], np.float64),
    np.array([answer.reference_tokens for answer in own], np.float64),
  )
  return values, losses


def counts(
  found: Found,
  scored: Sequence[int],
  responder: responding.Responder,
  context: InContext | None,
) -> dict[str, Any]:
  """Of responses that are empty or cut, and of the examples before them."""
  own = [found.answers[n] for n in scored]
  counts: dict[str, Any] = {
    "empty": sum(not found.responses[n].strip() for n in scored),
    "cut": sum(_cut(answer, responder) for answer in own),
    "in_context": None,
  }
  if context is not None:
    wanted = [min(context.retrieval.count, len(found.near[n])) for n in scored]
    counts["in_context"] = {
      "examples": sum(answer.shown for answer in own) / len(own),
      "left_out": sum(wanted) - sum(answer.shown for answer in own),
      "cut": sum(answer.example_cut for answer in own),
    }
  return counts


def _cut(answer: Answer, responder: responding.Responder) -> bool:
  """Whether a response took all the room, and has no end."""
  full = len(answer.ids) >= responder.answer_tokens
  return full and answer.ids[-1] != responder.tokenizer.eos_id


def lines(
  test: instructions.Instructions,
  context: InContext | None,
  found: Found,
  scored: Sequence[int],
  values: Mapping[str, np.ndarray],
) -> list[str]:
  """A JSON line a record, in the test's order."""
  place = {number: row for row, number in enumerate(scored)}
  axis = test.axis([answer.status for answer in found.answers])
  shown = None
  if context is not None:
    shown = context.examples.axis(
      [interface.SCORED] * len(context.examples.records)
    )
  lines = []
  for n, (record, answer) in enumerate(
    zip(test.records, found.answers, strict=True)
  ):
    row = {
      "file": axis.files[n],
      "row": int(axis.positions[n]),
      "task": test.tasks[n],
      "prompt": record.prompt,
      "reference": record.response,
      "status": answer.status,
      "response": found.responses[n] if n in place else None,
      "prompt_tokens": answer.prompt_tokens,
      "examples": [
        {
          "file": shown.files[one.number],
          "row": int(shown.positions[one.number]),
          "cosine": one.cosine,
        }
        for one in found.near[n][: answer.shown]
      ],
    }
    if n in place:
      row |= {m: float(column[place[n]]) for m, column in values.items()}
      if np.isfinite(answer.nats):
        row["nats"] = answer.nats
        row["reference_tokens"] = answer.reference_tokens
    lines.append(json.dumps(row, ensure_ascii=False) + "\n")
  return lines
