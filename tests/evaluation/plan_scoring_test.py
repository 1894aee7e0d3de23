# SPDX-License-Identifier: Apache-2.0
"""The batches that a plan counts are those that scoring makes."""

import collections

import pytest

from data_efficient.evaluation import plan_corpus, plan_scoring
from tests.evaluation import planned
from tests.scorers import asked


def _size(texts, shards=1, sample=None):
  return plan_corpus.Size(
    plan_corpus.known(len(texts)),
    plan_corpus.known(sum(map(len, texts))),
    "test",
    shards,
    tuple(texts if sample is None else texts[:sample]),
  )


def _clock():
  return 0.0


def _batches(scorer, texts):
  """Of the whole corpus, part by part: shape to how many."""
  part = scorer.part_records
  return collections.Counter(
    arrays.shape
    for start in range(0, len(texts), part)
    for arrays in scorer.pack(texts[start : start + part]).batches
  )


def test_the_batches_are_the_scorers_own():
  # Two parts that pack alike, whatever the order of their texts.
  texts = planned.texts(128) * 2
  scorer = planned.scorer(length_step=16)
  work = plan_scoring.work(scorer, _size(texts, sample=128), _clock)
  found = {b.example.shape: b.count for b in work.batches}
  assert found == pytest.approx(dict(_batches(scorer, texts)))


def test_a_sample_foresees_the_flops_of_a_corpus():
  texts = planned.texts(2048, seed=1)
  scorer = planned.scorer(length_step=16)
  work = plan_scoring.work(scorer, _size(texts, sample=256), _clock)
  asked_ = plan_scoring.answers_of(scorer)
  truth = sum(
    count * rows * plan_scoring.flops_of(planned.WIDE, asked_, length)
    for (rows, length), count in _batches(scorer, texts).items()
  )
  assert work.flops == pytest.approx(truth, rel=0.05)


def test_padding_is_what_shorter_rows_would_save():
  scorer = planned.scorer(length_step=64, batch_tokens=256)
  frame = len(scorer.question.input_ids([]))
  # Whole rows of 64 in full batches of four: nothing is padded.
  full = ["x" * (64 - frame)] * 8
  assert plan_scoring.work(scorer, _size(full), _clock).padding == 0.0
  # The same shapes with rows half as long.
  half = plan_scoring.work(scorer, _size(["x" * (32 - frame)] * 8), _clock)
  one, two = (
    plan_scoring.flops_of(planned.WIDE, half.answers, n) for n in (32, 64)
  )
  assert half.padding == pytest.approx(1 - one / two)
  # Three rows in a batch for four.
  few = plan_scoring.work(scorer, _size(full[:3]), _clock)
  assert few.padding == pytest.approx(1 / 4)


def test_parts_are_as_small_as_shards():
  texts = planned.texts(64)
  scorer = planned.scorer(batch_tokens=2048)
  together = plan_scoring.work(scorer, _size(texts), _clock)
  apart = plan_scoring.work(scorer, _size(texts, shards=32), _clock)
  assert apart.padding > together.padding
  assert sum(b.count for b in apart.batches) >= 32


def test_the_host_s_seconds_are_those_of_all_records():
  ticks = iter(range(100))
  size = _size(planned.texts(256), sample=128)
  work = plan_scoring.work(planned.scorer(), size, lambda: float(next(ticks)))
  assert work.host_seconds == 2.0


def test_full_windows():
  scorer = plan_scoring.FullWindows(
    judge=plan_scoring.judge(network=planned.WIDE, kind="test"),
    tokens=96,
    batch_tokens=300,
  )
  size = plan_corpus.Stated(records=300, tokens=1).size()
  work = plan_scoring.work(scorer, size, _clock)
  (batches,) = work.batches
  assert batches.example.shape == (3, 96)
  assert batches.count == 100
  one = plan_scoring.flops_of(planned.WIDE, ((1,),), 96)
  assert work.flops == pytest.approx(300 * one)
  assert work.padding == 0.0


def test_what_cannot_be_planned_is_said():
  stated = plan_corpus.Stated(records=3, tokens=9).size()
  with pytest.raises(ValueError, match="FullWindows"):
    plan_scoring.work(planned.scorer(), stated, _clock)
  with pytest.raises(ValueError, match="empty"):
    plan_scoring.work(planned.scorer(), _size(["", " "]), _clock)


def test_answers_of_several_pieces_are_counted():
  scorer = planned.scorer()
  assert plan_scoring.answers_of(scorer) == tuple(
    map(tuple, (asked.ANSWERS[word] for word in scorer.question.casings))
  )
