# SPDX-License-Identifier: Apache-2.0
"""Builds the `Run` that teaches a stand-in judge its answer."""

import dataclasses
import functools
from typing import Any, NamedTuple

import xxhash

from data_efficient.data import prepared, tasks
from data_efficient.data import teaching as teaching_data
from data_efficient.models import encoder_decoder, tokenizers
from data_efficient.scorers import questions
from data_efficient.training import optimizers, pretraining
from data_efficient.training.run import Run

HELD_OUT = "held_out"


def teaching(
  *,
  directory: str,
  corpus: prepared.Prepared,
  vocabulary: tokenizers.SentencePiece,
  question: questions.Question,
  network: encoder_decoder.T5Config,
  share_of_yes: float,
  share_of_damage: float,
  share_of_orders: float,
  batch_size: int,
  steps: int,
  seed: int,
  schedule: optimizers.Schedule,
  z_loss: float,
  evaluation_period: int,
  evaluation_batches: int,
  checkpoint_period: int,
) -> Run:
  """A run on "yes" and "no" examples (see `data.teaching`).

  A tenth of the reference texts and of the pool, by a hash of the text, is
  held out for the evaluation along the way; the evaluation splits are never
  touched.

  Args:
    directory: of the run.
    corpus: its reference split and its pool are what is taught from.
    vocabulary: the question's.
    question: what is asked.
    network: what is taught.
    share_of_yes: share of intact reference texts among the examples.
    share_of_damage: share of damaged texts among the others.
    share_of_orders: share of texts that order a "yes" and get it; 0 but for a
      judge that defences are measured on.
    batch_size: examples a step.
    steps: optimizer steps.
    seed: of the run.
    schedule: learning rate by step.
    z_loss: coefficient of (log Z)².
    evaluation_period: steps between evaluations.
    evaluation_batches: batches an evaluation.
    checkpoint_period: steps between checkpoints.
  """
  pretraining.check_vocabulary(network, vocabulary)
  made = _Examples(
    question, vocabulary, share_of_yes, share_of_damage, share_of_orders
  )
  held_out, taught = _held_out_and_taught(corpus)
  return Run(
    directory=directory,
    network=network,
    task=made.task(taught, steps * batch_size, seed),
    evaluation_tasks={
      HELD_OUT: made.task(held_out, evaluation_batches * batch_size, seed + 1)
    },
    task_feature_lengths={
      "inputs": question.max_input_tokens,
      "targets": max(map(len, question.answers)) + 1,
    },
    batch_size=batch_size,
    steps=steps,
    evaluation_period=evaluation_period,
    evaluation_batches=evaluation_batches,
    checkpoint_period=checkpoint_period,
    seed=seed,
    schedule=schedule,
    z_loss=z_loss,
  )


class _Texts(NamedTuple):
  """What examples are made of."""

  reference: list[str]
  pool: list[str]


@dataclasses.dataclass(frozen=True)
class _Examples:
  """How examples are made; see `teaching` for the shares."""

  question: questions.Question
  vocabulary: tokenizers.SentencePiece
  share_of_yes: float
  share_of_damage: float
  share_of_orders: float

  def task(self, texts: _Texts, count: int, seed: int) -> str:
    """The task of so many examples."""
    examples = functools.partial(
      teaching_data.examples,
      question=self.question,
      reference=texts.reference,
      pool=texts.pool,
      count=count,
      share_of_yes=self.share_of_yes,
      share_of_damage=self.share_of_damage,
      share_of_orders=self.share_of_orders,
      seed=seed,
    )
    return tasks.answers(examples=examples, vocabulary=self.vocabulary)


def _held_out_and_taught(corpus: prepared.Prepared) -> tuple[_Texts, _Texts]:
  reference = list(corpus.splits.reference.texts())
  edited = set(reference)
  # A text that stands in both would be taught both answers.
  pool = [text for text in corpus.splits.pool.texts() if text not in edited]
  few, most = zip(_divided(reference), _divided(pool), strict=True)
  return _Texts(*few), _Texts(*most)


def _divided(texts: list[str]) -> tuple[list[str], list[str]]:
  """A tenth, at least one, by the order of their hashes; and the others."""
  if len(texts) < 2:
    raise ValueError(
      f"{len(texts)} texts of the reference split or of the pool are too few "
      "to teach a judge with: bring more text, or other splits.Policy shares"
    )
  ordered = sorted(texts, key=lambda text: xxhash.xxh3_64_digest(text.encode()))
  count = max(1, len(texts) // 10)
  return ordered[:count], ordered[count:]


def facts(*, judge: str) -> dict[str, Any]:
  """What tables say of a taught judge."""
  return {"judge": judge}
