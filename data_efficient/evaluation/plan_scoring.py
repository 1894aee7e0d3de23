# SPDX-License-Identifier: Apache-2.0
"""The work of scoring a corpus: which batches, how many, how many FLOPs.

The batches are the scorer's own: it packs a sample as it would pack a part,
so padding, windows and the prompt are what they will be.
"""

import collections
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from data_efficient.evaluation import plan_corpus
from data_efficient.models import (
  decoder_only,
  flops,
  networks,
  partitioning,
)
from data_efficient.scorers import answers, ask_llm, batching, judges


def judge(
  *, network: networks.Network, kind: str, model_parallel: int = 1
) -> judges.Judge:
  """A judge of a size, without a checkpoint: it has no parameters.

  Args:
    network: its size.
    kind: what tables call it.
    model_parallel: devices of this machine that share one copy.
  """
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.local_devices()
  )
  return judges.Judge(network, {}, {"kind": kind}, mesh)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullWindows:
  """A scorer of a corpus that is only stated: each record fills a window.

  An upper bound: shorter records are padded to less. One decoder step.

  Attributes:
    judge: see `judge`.
    tokens: of a window, the prompt included.
    batch_tokens: tokens of a batch.
    part_records: records a part.
  """

  judge: judges.Judge
  tokens: int
  batch_tokens: int
  part_records: int = 1024

  # A word of one piece, whichever.
  answers = ((1,),)

  @property
  def rows(self) -> int:
    """Rows of a batch."""
    buckets = batching.Buckets(
      longest=self.tokens, step=self.tokens, batch_tokens=self.batch_tokens
    )
    return buckets.rows(self.tokens, self.judge.rows_multiple)

  def step(self, arrays: np.ndarray) -> jax.Array:
    """Starts one batch, as `AskLlm.step` does."""
    with self.judge.devices():
      return answers.log_probabilities(
        self.judge.parameters,
        self.judge.place(arrays),
        network=self.judge.network,
        answers=self.answers,
      )


Scorer = ask_llm.AskLlm | FullWindows


class Batches(NamedTuple):
  """The batches of one shape.

  Attributes:
    count: how many the corpus makes, on average.
    example: token ids int32 [rows, length] of one of them.
  """

  count: float
  example: np.ndarray


class Work(NamedTuple):
  """What scoring a corpus takes.

  Attributes:
    network: the judge's.
    answers: pieces of each answer.
    batches: of each shape, ascending by length.
    flops: of all batches, padding included.
    useful_flops: of the same windows without any padding.
    host_seconds: of one thread that tokenizes, packs and unpacks all records;
      0 where there are no texts.
  """

  network: networks.Network
  answers: tuple[answers.Pieces, ...]
  batches: list[Batches]
  flops: float
  useful_flops: float
  host_seconds: float

  @property
  def padding(self) -> float:
    """Share of the FLOPs that are spent on padding, in [0, 1)."""
    return 1.0 - self.useful_flops / self.flops


def answers_of(scorer: Scorer) -> tuple[answers.Pieces, ...]:
  """The pieces of each answer that a scorer reads the probability of."""
  if isinstance(scorer, FullWindows):
    return scorer.answers
  return tuple(scorer.question.casings.values())


def flops_of(
  network: networks.Network, asked: tuple[answers.Pieces, ...], length: int
) -> float:
  """FLOPs of one row of a scoring batch of a length."""
  if isinstance(network, decoder_only.DecoderOnlyConfig):
    beginnings = {pieces[:-1] for pieces in asked}
    return sum(
      flops.language_model(
        network, length=length + len(known) + 1, last=len(known) + 1
      ).total
      for known in beginnings
    )
  positions = len(answers.row(asked).inputs)
  step = flops.answer_step(network, source=length, target=positions)
  return flops.encoder(network, source=length).total + step.total


def work(
  scorer: Scorer, size: plan_corpus.Size, clock: Any, *, seed: int = 0
) -> Work:
  """The work of a scorer on a corpus.

  Args:
    scorer: Ask-LLM with a judge of `judge`, or `FullWindows`.
    size: of the corpus, with a sample of its texts.
    clock: returns seconds, to time the host's share.
    seed: of the parts that are put together from the sample.
  """
  network, asked = scorer.judge.network, answers_of(scorer)
  if isinstance(scorer, FullWindows):
    example = np.ones((scorer.rows, scorer.tokens), np.int32)
    found = [Batches(size.records.value / scorer.rows, example)]
    rows = scorer.rows * found[0].count
    spent = rows * flops_of(network, asked, scorer.tokens)
    return Work(network, asked, found, spent, spent, 0.0)
  packed = _packed(scorer, size, clock, seed)
  cost = {n: flops_of(network, asked, n) for n in packed.lengths}
  spent = sum(
    batch.count * batch.example.shape[0] * cost[batch.example.shape[1]]
    for batch in packed.batches
  )
  useful = sum(
    flops_of(network, asked, n) * count for n, count in packed.windows.items()
  )
  return Work(network, asked, packed.batches, spent, useful, packed.seconds)


class _Packed(NamedTuple):
  batches: list[Batches]
  windows: dict[int, float]  # tokens to how many windows, of the corpus
  seconds: float

  @property
  def lengths(self) -> set[int]:
    return {batch.example.shape[1] for batch in self.batches}


def _packed(scorer, size: plan_corpus.Size, clock, seed: int) -> _Packed:
  """Some parts' worth of the sample, packed by the scorer."""
  if not size.texts:
    raise ValueError(
      "the corpus is only stated and has no texts: plan its scoring with "
      "plan_scoring.FullWindows (gin/runs/plan_paper.gin)"
    )
  of_a_shard = max(1, round(size.records.value / size.shards))
  part = min(scorer.part_records, of_a_shard)
  parts = max(1, round(len(size.texts) / part))
  draw = np.random.default_rng(seed)
  counts, windows = collections.Counter(), collections.Counter()
  examples: dict[tuple[int, ...], np.ndarray] = {}
  seconds = 0.0
  for _ in range(parts):
    few = part > len(size.texts)
    rows = draw.choice(len(size.texts), part, replace=few)
    began = clock()
    made = scorer.pack([size.texts[row] for row in rows])
    scorer.unpack(made, [_results(scorer, array) for array in made.batches])
    seconds += clock() - began
    for array in made.batches:
      counts[array.shape] += 1
      examples.setdefault(array.shape, array)
      # A token is never 0; a row of padding alone is no window.
      tokens = (array > 0).sum(axis=1)
      windows.update(tokens[tokens > 0].tolist())
  if not examples:
    raise ValueError("no record of the sample can be scored: all are empty")
  scale = size.records.value / (parts * part)
  return _Packed(
    [
      Batches(counts[shape] * scale, examples[shape])
      for shape in sorted(examples, key=lambda shape: shape[1])
    ],
    {tokens: count * scale for tokens, count in windows.items()},
    seconds * scale,
  )


def _results(scorer: ask_llm.AskLlm, array: np.ndarray) -> np.ndarray:
  """What a step might have returned, for the host's work on it."""
  return np.zeros((len(array), len(answers_of(scorer))), np.float32)
