# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools
import pathlib
import time

import jax
import numpy as np
import pytest

from data_efficient.models import (
  checkpoints,
  encoder_decoder,
  partitioning,
)
from data_efficient.training import (
  batches,
  local,
  loop,
  metrics,
  optimizers,
  step,
)
from data_efficient.training.run import RunError


@pytest.fixture(scope="module")
def engine():
  return local.Local(model_parallel=1, microbatches=1, log_period=1)


def _losses(directory, label=None):
  rows = [r for r in metrics.read(directory) if r.get("evaluation") == label]
  return {row["step"]: row["loss"] for row in rows}


def test_a_run_learns_and_leaves_what_the_contract_says(engine, run_in):
  run = run_in("whole")
  engine.train(run)
  evaluated = _losses(run.directory, "hq")
  assert list(evaluated) == [0, 2, 4, 6]
  assert evaluated[6] < evaluated[0] - 0.2
  rows = [r for r in metrics.read(run.directory) if "seconds" in r]
  assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
  assert np.all(np.diff([row["tokens"] for row in rows]) > 0)
  assert np.all(np.diff([row["seconds"] for row in rows]) >= 0)
  # Compilation is told apart, once.
  assert [row["step"] for row in rows if "compile_seconds" in row] == [1]
  parameters = checkpoints.load_parameters(run.directory, config=run.network)
  assert encoder_decoder.parameter_count(run.network) == sum(
    leaf.size for leaf in jax.tree.leaves(parameters)
  )


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(engine, run_in):
  whole, halves = run_in("whole"), run_in("halves")
  engine.train(whole)
  engine.train(dataclasses.replace(halves, steps=4))
  engine.train(halves)
  for label in (None, "hq"):
    assert _losses(halves.directory, label) == _losses(whole.directory, label)
  ours, theirs = (
    checkpoints.load_parameters(run.directory, config=run.network)
    for run in (halves, whole)
  )
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_steps_after_the_last_checkpoint_are_not_counted_twice(engine, run_in):
  run = run_in("interrupted")
  engine.train(dataclasses.replace(run, steps=4))
  log = metrics.MetricsLog(run.directory, step=4)
  log.write(5, loss=123.0, tokens=1, seconds=1.0)
  log.close()
  with open(f"{run.directory}/metrics.jsonl", "a") as file:
    file.write('{"step": 6, "lo')
  engine.train(run)
  rows = [r["step"] for r in metrics.read(run.directory) if "seconds" in r]
  assert rows == [1, 2, 3, 4, 5, 6]
  assert 123.0 not in _losses(run.directory).values()


def test_a_finished_run_is_left_alone(engine, run_in):
  run = run_in("done")
  engine.train(run)
  before = metrics.read(run.directory)
  engine.train(run)
  assert metrics.read(run.directory) == before


def test_the_first_loss_is_the_mean_cross_entropy_of_the_first_batch(run):
  key = jax.random.key(run.seed)
  optimizer = optimizers.adafactor(run.schedule)
  state = step.initial_state(run.network, optimizer, key)
  batch = next(batches.training(run, start=0))
  train = functools.partial(
    step.train_step,
    network=run.network,
    optimizer=optimizer,
    z_loss=run.z_loss,
    seed=run.seed,
  )
  _, measured = jax.jit(train)(state, batch)
  # Compiled whole: operation by operation takes ten times as long.
  logits = jax.jit(encoder_decoder.Transformer(run.network).apply)(
    {"params": state.parameters},
    *(
      batch[f"{name}_tokens"]
      for name in ("encoder_input", "decoder_input", "decoder_target")
    ),
  )
  logits = np.asarray(logits, np.float64)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  targets = batch["decoder_target_tokens"]
  chosen = np.take_along_axis(log_p, targets[..., None], -1)[..., 0]
  assert float(measured.loss) == pytest.approx(
    -chosen[targets > 0].mean(), abs=1e-5
  )
  assert float(measured.tokens) == (targets > 0).sum()


def test_evaluation_batches_are_the_same_for_every_seed(run):
  first = batches.evaluation(run)["hq"]
  second = batches.evaluation(dataclasses.replace(run, seed=7))["hq"]
  assert len(first) == 3
  for ours, theirs in zip(first, second, strict=True):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
  # Ten lines in batches of four: the last batch is half empty, and full size.
  assert first[-1]["decoder_target_tokens"].shape == (4, 8)
  assert (first[-1]["decoder_loss_weights"].sum(axis=1) > 0).tolist() == [
    *(True, True, False, False)
  ]


def test_batch_k_does_not_depend_on_where_a_run_starts(run):
  whole = batches.training(run, start=0)
  third = [next(whole) for _ in range(4)][3]
  resumed = next(batches.training(run, start=3))
  jax.tree.map(np.testing.assert_array_equal, third, resumed)


def test_seeds_change_the_order(run):
  first = next(batches.training(run, start=0))
  other = next(batches.training(dataclasses.replace(run, seed=1), start=0))
  assert (first["encoder_input_tokens"] != other["encoder_input_tokens"]).any()


def test_a_loss_that_is_not_finite_stops_the_run(engine, run_in):
  run = run_in("diverged", schedule=optimizers.rsqrt(base=1e30, warmup_steps=1))
  with pytest.raises(
    local.DivergedError, match="diverged: the loss is .* step"
  ):
    engine.train(run)


def test_the_schedule_is_constant_then_falls_as_the_square_root():
  schedule = optimizers.rsqrt(base=1.0, warmup_steps=10_000)
  assert float(schedule(0)) == float(schedule(10_000)) == pytest.approx(0.01)
  assert float(schedule(40_000)) == pytest.approx(0.005)


def test_evaluation_is_a_sample_of_the_whole_set_not_its_head(run):
  batch = batches.evaluation(dataclasses.replace(run, evaluation_batches=1))
  first = batch["hq"][0]["encoder_input_tokens"]
  import seqio

  vocabulary = seqio.ByteVocabulary()
  head = [f"line {number} of a small corpus" for number in range(4)]
  shown = [vocabulary.decode(row[row > 0].tolist()) for row in first]
  assert not all(
    line.startswith(text[:16]) for line, text in zip(head, shown, strict=True)
  )


def test_seconds_do_not_hold_the_compilation(engine, run_in, monkeypatch):
  compiled, clock, later = loop.Loop._compiled, time.perf_counter, [0.0]

  def slowly(*arguments):
    later[0] += 1000.0
    return compiled(*arguments)

  monkeypatch.setattr(time, "perf_counter", lambda: clock() + later[0])
  monkeypatch.setattr(loop.Loop, "_compiled", slowly)
  run = run_in("compiled", steps=2)
  engine.train(run)
  rows = [r for r in metrics.read(run.directory) if "seconds" in r]
  assert 0.0 < rows[-1]["seconds"] < 1000.0


def test_a_batch_that_does_not_divide_is_refused(run_in):
  engine = local.Local(model_parallel=1, microbatches=3, log_period=1)
  with pytest.raises(
    partitioning.PartitioningError,
    match="batch_size = 4 does not divide into 3 microbatches",
  ):
    engine.train(run_in("odd"))


def test_checkpoints_stay_every_so_many_steps(engine, run_in):
  run = run_in("kept", checkpoint_period=1, keep_period=3, steps=6)
  engine.train(dataclasses.replace(run, steps=4))
  engine.train(run)
  found = pathlib.Path(run.directory, "checkpoints").iterdir()
  assert sorted(path.name for path in found) == ["3", "5", "6"]
  with pytest.raises(RunError, match="keep_period = 3, expected a multiple of"):
    run_in("refused", checkpoint_period=2, keep_period=3)
