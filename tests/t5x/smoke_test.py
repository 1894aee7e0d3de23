# SPDX-License-Identifier: Apache-2.0
"""What `t5x.train` leaves, and what it does after an interruption."""

import dataclasses
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from data_efficient.kernels import likelihood
from data_efficient.models import checkpoints, decoder_only, networks
from data_efficient.training import batches, metrics, t5x
from tests.t5x.tiny import losses


@pytest.fixture(scope="module")
def halves(run_in, engines):
  """10 steps; then, in the same directory, on to 20."""
  run = run_in("halves", evaluation_period=5, checkpoint_period=10)
  engines["t5x"].train(dataclasses.replace(run, steps=10))
  engines["t5x"].train(run)
  before = metrics.read(run.directory)
  engines["t5x"].train(run)  # nothing left to do
  assert metrics.read(run.directory) == before
  return run


def test_metrics_rows(halves):
  rows = metrics.read(halves.directory)
  trained = [row for row in rows if "evaluation" not in row]
  assert [row["step"] for row in trained] == list(range(1, 21))
  assert all(math.isfinite(row["loss"]) for row in rows)
  assert trained[0]["learning_rate"] == pytest.approx(0.03 / math.sqrt(10))
  for name in ("tokens", "seconds"):
    values = [row[name] for row in trained]
    assert values == sorted(values) and values[0] > 0
  compiled = [row["step"] for row in trained if "compile_seconds" in row]
  assert compiled == [1, 11]
  assert list(losses(halves, "hq")) == [0, 5, 10, 15, 20]
  json.dumps(rows)


def test_a_resumed_run_equals_an_uninterrupted_one(halves, by_t5x):
  assert losses(halves) == losses(by_t5x)
  found = [
    checkpoints.load_parameters(run.directory, config=run.network)
    for run in (halves, by_t5x)
  ]
  jax.tree.map(np.testing.assert_array_equal, *found)


def test_checkpoint_is_read_and_gives_the_last_loss(halves):
  directory = pathlib.Path(halves.directory)
  assert checkpoints.latest_step(directory / "checkpoints") == 20
  parameters = checkpoints.load_parameters(directory, config=halves.network)

  @jax.jit
  def sums(batch):
    logits = networks.logits(halves.network, parameters, batch, dropout=None)
    weights = batch["decoder_loss_weights"].astype(np.float32)
    return likelihood.loss_sums(logits, batch["decoder_target_tokens"], weights)

  total = likelihood.empty()
  for batch in batches.evaluation(halves)["hq"]:
    total = likelihood.merge(total, sums(batch))
  expected = likelihood.means(total)
  last = metrics.read(halves.directory)[-1]
  assert last["step"] == 20
  assert last["loss"] == pytest.approx(float(expected.loss), rel=1e-5)
  assert last["accuracy"] == pytest.approx(float(expected.accuracy), abs=1e-6)


def test_checkpoints_stay_every_so_many_steps(run_in, engines):
  run = run_in(
    "kept", steps=8, evaluation_period=1, checkpoint_period=1, keep_period=3
  )
  engines["t5x"].train(run)
  directory = pathlib.Path(run.directory, "checkpoints")
  found = {path.name for path in directory.glob("checkpoint_*")}
  # T5X writes one before the first step, which any period keeps.
  assert found == {f"checkpoint_{step}" for step in (0, 3, 6, 7, 8)}
  kept = directory / "checkpoint_3"
  checkpoints.load_parameters(kept, config=run.network)


def test_what_t5x_cannot_do_is_refused(run_in, engines):
  run = run_in("refused")
  with pytest.raises(
    t5x.T5XError, match="checkpoint_period = 30 is no multiple"
  ):
    engines["t5x"].train(dataclasses.replace(run, checkpoint_period=30))
  sizes = dataclasses.asdict(run.network)
  del sizes["num_encoder_layers"]
  network = decoder_only.DecoderOnlyConfig(**sizes)
  with pytest.raises(t5x.T5XError, match="T5 1.1 alone, not DecoderOnlyConfig"):
    engines["t5x"].train(dataclasses.replace(run, network=network))
