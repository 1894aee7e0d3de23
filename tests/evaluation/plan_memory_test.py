# SPDX-License-Identifier: Apache-2.0
"""The formulas of memory and of work, by hand."""

import dataclasses

import numpy as np
import pytest

from data_efficient.evaluation import (
  chips,
  plan_memory,
  plan_scoring,
  plan_training,
)
from data_efficient.models import flops
from tests import networks
from tests.evaluation import planned

# One layer a stack, 4 heads of size 8 or so: see `planned`.
NET = planned.WIDE
E, HEADS, M, V = NET.emb_dim, NET.num_heads, NET.mlp_dim, NET.vocab_size
A = HEADS * NET.head_dim


@pytest.fixture
def a_million_parameters(monkeypatch):
  monkeypatch.setattr(
    plan_memory,
    "parameters",
    lambda network: plan_memory.Parameters(1_000_000, 2_000_000.0),
  )


@pytest.mark.parametrize("shared", [1, 2])
def test_scoring(a_million_parameters, shared):
  # Long rows: attention's squares are the larger block.
  rows, length = 2, 1000
  squares = 4 * (3 * rows * length * A + 2 * rows * HEADS * length**2)
  stream = 12 * rows * length * E
  expected = 2e6 / shared + stream + squares / shared
  found = plan_memory._scoring_formula(NET, rows, length, shared)
  assert found == pytest.approx(expected)
  # Short ones: the feed-forward block is.
  hidden = 4 * 3 * rows * 8 * M
  expected = 2e6 / shared + 12 * rows * 8 * E + hidden / shared
  assert plan_memory._scoring_formula(NET, rows, 8, shared) == pytest.approx(
    expected
  )


@pytest.mark.parametrize("remat", ["none", "minimal", "full"])
@pytest.mark.parametrize("shared", [1, 2])
def test_training(a_million_parameters, remat, shared):
  rows, source, target = 4, 64, 16
  run = dataclasses.replace(
    planned.TRAINING,
    network=dataclasses.replace(NET, remat=remat),
    inputs=source,
    targets=target,
  )

  def squares(tokens):
    return 8 * rows * HEADS * tokens**2 / shared

  def kept(tokens):
    stream = 4 * rows * tokens * E
    projections = 4 * rows * tokens * (4 * A + 3 * M) / shared
    return {
      "full": stream,
      "minimal": 2 * stream + projections,
      "none": 4 * stream + projections + squares(tokens),
    }[remat]

  inside = 4 * rows * source * 4 * M / shared + squares(source)
  # Parameters and gradients; logits and their gradient.
  expected = (
    8e6 / shared
    + kept(source)
    + kept(target)
    + inside
    + 8 * rows * target * V / shared
  )
  found = plan_memory._training_formula(run, rows, shared)
  assert found == pytest.approx(expected)


def test_a_decoder_alone_reads_inputs_and_targets_in_one_row():
  network = networks.alone(vocab_size=64)
  run = dataclasses.replace(
    planned.TRAINING, network=network, inputs=24, targets=8
  )
  joined = dataclasses.replace(run, inputs=31, targets=1)
  found = plan_memory._training_formula(run, 4, 1)
  assert found == plan_memory._training_formula(joined, 4, 1)
  # Logits of all 32 positions.
  more = dataclasses.replace(
    run, network=dataclasses.replace(network, vocab_size=128)
  )
  grown = plan_memory._training_formula(more, 4, 1) - found
  count = plan_memory.parameters(more.network).count
  count -= plan_memory.parameters(network).count
  assert grown == pytest.approx(8.0 * count + 8.0 * 4 * 32 * 64)
  assert set(plan_training.batch_shapes(run).values()) == {(8, 32)}


def test_parameters_are_stored_as_they_are_multiplied():
  halves = dataclasses.replace(NET, dtype="bfloat16")
  whole, half = plan_memory.parameters(NET), plan_memory.parameters(halves)
  assert whole.count == half.count
  assert whole.stored_bytes == 4.0 * whole.count
  assert 0.5 <= half.stored_bytes / whole.stored_bytes < 0.6


def test_a_batch_is_split_over_the_chips_and_their_shares():
  (chip,) = chips.named(("H200",))
  run = dataclasses.replace(planned.TRAINING, batch=64, microbatches=2)
  found = plan_memory.training(chip, run, count=4, compiled=False)
  expected = plan_memory._training_formula(run, 64 // 4 // 2, 1)
  assert found.bytes == expected
  # Where two chips share a copy, each group of them has twice the rows.
  two = plan_memory._training_formula(run, 2 * 64 // 4 // 2, 2)
  small = dataclasses.replace(chip, memory_bytes=int(two / 0.9))
  found = plan_memory.training(small, run, count=4, compiled=False)
  assert (found.bytes, found.model_parallel) == (two, 2)


def test_a_chip_is_not_filled_to_the_brim():
  (chip,) = chips.named(("v5e",))
  for share, fits in ((0.95, False), (0.90, True)):
    memory = dataclasses.replace(chip, memory_bytes=1000)
    found = plan_memory._least(
      memory, NET, lambda shared, share=share: 1000 * share, None, most=1
    )
    assert found.fits is fits


def test_the_work_of_a_run():
  run = plan_training.Training(
    network=NET, steps=3, batch=5, inputs=7, targets=11, microbatches=1
  )
  assert run.tokens == 3 * 5 * 7
  each = flops.training(NET, source=7, target=11)
  assert run.flops.model == 15 * each.model
  remat = dataclasses.replace(
    run, network=dataclasses.replace(NET, remat="full")
  )
  assert remat.flops.model == run.flops.model
  assert remat.flops.executed > run.flops.executed
  assert set(plan_training.batch_shapes(run).values()) == {(5, 7), (5, 11)}


def test_the_work_of_an_answer():
  # One row of an encoder–decoder's decoder has what precedes the last pieces,
  # each after a start: 3 (and nothing, which it begins with), and 5.
  asked = ((3,), (3, 4), (5, 6))
  step = flops.answer_step(NET, source=9, target=4)
  expected = flops.encoder(NET, source=9).total + step.total
  assert plan_scoring.flops_of(NET, asked, 9) == expected
  # A decoder alone reads the prompt again for each beginning.
  network = networks.alone(vocab_size=64)
  once = flops.language_model(network, length=10, last=1).total
  twice = flops.language_model(network, length=11, last=2).total
  assert plan_scoring.flops_of(network, ((3,),), 9) == once
  assert plan_scoring.flops_of(network, ((3,), (3, 4)), 9) == once + twice


def test_the_longest_batch_is_the_one_that_must_fit(a_million_parameters):
  (chip,) = chips.named(("H200",))
  batches = [
    plan_scoring.Batches(1.0, np.ones(shape, np.int32))
    for shape in ((64, 16), (4, 256))
  ]
  work = plan_scoring.Work(NET, ((1,),), batches, 1.0, 1.0, 0.0)
  found = plan_memory.scoring(chip, work, compiled=False)
  assert found.bytes == plan_memory._scoring_formula(NET, 4, 256, 1)
