# SPDX-License-Identifier: Apache-2.0
"""The train step: microbatches, precision, remat, weights, language models."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.kernels import likelihood
from data_efficient.models import checkpoints, decoder_only, networks
from data_efficient.training import batches, local, metrics, optimizers, step
from tests.training import fakes

OPTIMIZER = optimizers.adafactor(optimizers.rsqrt(base=0.1, warmup_steps=4))
WIDE = dataclasses.replace(
  fakes.CONFIG, vocab_size=64, num_encoder_layers=3, num_decoder_layers=3
)
LANGUAGE_MODEL = decoder_only.DecoderOnlyConfig(
  **{
    field.name: getattr(fakes.CONFIG, field.name)
    for field in dataclasses.fields(decoder_only.DecoderOnlyConfig)
  }
)


def _batch(number: int, rows: int = 8, length: int = 12):
  random = np.random.default_rng(number)
  source = random.integers(2, 60, (rows, length))
  targets = source[:, : length // 2] + 1
  # Very different numbers of tokens: a mean of means would show.
  targets[np.arange(length // 2) > np.arange(rows)[:, None]] = 0
  return {
    "encoder_input_tokens": source,
    "decoder_input_tokens": np.pad(targets[:, :-1], [(0, 0), (1, 0)]),
    "decoder_target_tokens": targets,
    "decoder_loss_weights": (targets > 0).astype(np.int32),
  }


@functools.cache
def _train(network, microbatches: int = 1):
  return jax.jit(
    functools.partial(
      step.train_step,
      network=network,
      optimizer=OPTIMIZER,
      z_loss=1e-4,
      seed=0,
      microbatches=microbatches,
    )
  )


@functools.cache
def _initial(network):
  return step.initial_state(network, OPTIMIZER, jax.random.key(0))


@jax.jit
def _logits(parameters, batch):
  return networks.logits(fakes.CONFIG, parameters, batch, dropout=None)


def _assert_near(ours, theirs, *, relative):
  for left, right in zip(
    jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True
  ):
    difference = np.linalg.norm(np.subtract(left, right, dtype=np.float64))
    assert difference <= relative * np.linalg.norm(right)


@pytest.mark.parametrize("microbatches", [2, 4])
def test_microbatches_take_the_step_of_the_whole_batch(microbatches):
  whole, parts = _initial(fakes.CONFIG), _initial(fakes.CONFIG)
  for number in range(3):
    whole, theirs = _train(fakes.CONFIG)(whole, _batch(number))
    parts, ours = _train(fakes.CONFIG, microbatches)(parts, _batch(number))
    assert ours.tokens == theirs.tokens
    assert float(ours.loss) == pytest.approx(float(theirs.loss), rel=1e-6)
  _assert_near(parts.parameters, whole.parameters, relative=1e-5)


def test_microbatches_are_evaluated_as_the_whole_batch():
  parameters = _initial(fakes.CONFIG).parameters
  whole, parts = (
    jax.jit(
      functools.partial(
        step.evaluation_step, network=fakes.CONFIG, microbatches=count
      )
    )(parameters, _batch(0))
    for count in (1, 4)
  )
  np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_microbatches_need_less_memory():
  batch = _batch(0, rows=32, length=96)
  whole, parts = (
    _train(fakes.CONFIG, count).lower(_initial(fakes.CONFIG), batch).compile()
    for count in (1, 4)
  )
  whole, parts = (
    compiled.memory_analysis().temp_size_in_bytes for compiled in (whole, parts)
  )
  assert parts < 0.5 * whole


def _kept_bytes(network) -> int:
  """What the forward pass of a loss leaves for the backward pass."""

  def loss(parameters):
    batch = _batch(0, rows=32, length=48)
    return networks.logits(network, parameters, batch, dropout=None).sum()

  shapes = networks.parameter_shapes(network)
  pullback = jax.eval_shape(
    lambda parameters: jax.vjp(loss, parameters)[1], shapes
  )
  return sum(
    leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pullback)
  )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_remat_keeps_less_for_the_backward_pass(dtype):
  # The CPU's compiler does not order a program by its memory, so that its
  # temporaries tell little; `make tpu` compares those of a TPU.
  none, minimal, full = (
    _kept_bytes(dataclasses.replace(WIDE, remat=remat, dtype=dtype))
    for remat in ("none", "minimal", "full")
  )
  assert full < 0.5 * minimal and minimal < 0.5 * none


def test_remat_takes_the_same_step():
  states = {}
  for remat in ("none", "minimal", "full"):
    network = dataclasses.replace(fakes.CONFIG, remat=remat)
    shapes = networks.parameter_shapes(network)
    assert shapes == networks.parameter_shapes(fakes.CONFIG)
    states[remat], _ = _train(network)(_initial(fakes.CONFIG), _batch(0))
  for remat in ("minimal", "full"):
    _assert_near(
      states[remat].parameters, states["none"].parameters, relative=1e-5
    )


def test_remat_draws_the_same_dropout():
  parameters = _initial(fakes.CONFIG).parameters

  def logits(rate: float, remat: str):
    network = dataclasses.replace(fakes.CONFIG, dropout_rate=rate, remat=remat)
    key = jax.random.key(1)
    return jax.jit(
      lambda batch: networks.logits(network, parameters, batch, dropout=key)
    )(_batch(0))

  kept, again = logits(0.3, "none"), logits(0.3, "full")
  np.testing.assert_allclose(again, kept, atol=1e-5)
  assert np.abs(kept - logits(0.0, "none")).max() > 0.01


def test_an_unknown_remat_is_refused():
  with pytest.raises(ValueError, match="T5Config.remat = 'some': expected one"):
    dataclasses.replace(fakes.CONFIG, remat="some")


def test_bfloat16_trains_like_float32_and_keeps_float32_masters():
  low = dataclasses.replace(fakes.CONFIG, dtype="bfloat16")
  losses = {}
  for network in (fakes.CONFIG, low):
    state = _initial(fakes.CONFIG)
    losses[network.dtype] = []
    for number in range(30):
      state, measured = _train(network)(state, _batch(number))
      losses[network.dtype].append(float(measured.loss))
    kinds = {
      leaf.dtype
      for leaf in jax.tree.leaves((state.parameters, state.optimizer_state))
    }
    assert kinds == {np.dtype("float32"), np.dtype("int32")}
  full, half = losses["float32"], losses["bfloat16"]
  assert full[-1] < full[0] - 1.0
  np.testing.assert_allclose(half, full, rtol=0.02)
  assert half != full
  logits = jax.eval_shape(
    lambda parameters: networks.logits(
      low, parameters, _batch(0), dropout=None
    ),
    state.parameters,
  )
  assert logits.dtype == jnp.float32


@pytest.mark.parametrize("microbatches", [1, 2])
def test_weights_of_one_change_no_bit(microbatches):
  batch = _batch(0)
  floats = batch["decoder_loss_weights"].astype(np.float32)
  take = _train(fakes.CONFIG, microbatches)
  whole, mask = take(_initial(fakes.CONFIG), batch)
  other, ones = take(
    _initial(fakes.CONFIG), {**batch, "decoder_loss_weights": floats}
  )
  assert mask == ones
  jax.tree.map(np.testing.assert_array_equal, whole, other)


@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_token_of_weight_two_counts_as_two_tokens(microbatches):
  batch = _batch(0)
  weights = batch["decoder_loss_weights"].astype(np.float32)
  weights[::2] *= 2.0
  _, measured = _train(fakes.CONFIG, microbatches)(
    _initial(fakes.CONFIG), {**batch, "decoder_loss_weights": weights}
  )
  logits = _logits(_initial(fakes.CONFIG).parameters, batch)
  found = likelihood.token_log_likelihoods(
    logits, batch["decoder_target_tokens"]
  )
  expected = -np.sum(found * weights) / weights.sum()
  assert float(measured.loss) == pytest.approx(float(expected), rel=1e-5)
  assert float(measured.tokens) == weights.sum()


def test_a_language_model_trains_with_the_same_engine(run_in):
  run = run_in(
    "prefix",
    network=LANGUAGE_MODEL,
    schedule=optimizers.rsqrt(base=0.3, warmup_steps=4),
  )
  batch = next(batches.training(run, start=0))
  assert batch["decoder_input_tokens"].shape == (4, 32)
  assert "encoder_input_tokens" not in batch
  assert (batch["decoder_causal_attention"].sum(axis=1) > 20).all()
  local.Local(model_parallel=1, microbatches=2, log_period=1).train(run)
  rows = metrics.read(run.directory)
  losses = [row["loss"] for row in rows if row.get("evaluation") == "hq"]
  assert losses[-1] < losses[0] - 0.2
  parameters = checkpoints.load_parameters(run.directory, config=LANGUAGE_MODEL)
  assert list(parameters) == ["decoder"]


def test_a_task_of_targets_alone_is_plain_language_modelling(run):
  name = fakes.task("tiny_targets", fakes.LINES, features=("targets",))
  run = dataclasses.replace(
    run,
    network=LANGUAGE_MODEL,
    task=name,
    task_feature_lengths={"targets": 16},
  )
  batch = next(batches.training(run, start=0))
  assert "decoder_causal_attention" not in batch
  _, measured = _train(LANGUAGE_MODEL)(_initial(LANGUAGE_MODEL), batch)
  assert float(measured.tokens) == batch["decoder_loss_weights"].sum()
  assert np.isfinite(float(measured.loss))
