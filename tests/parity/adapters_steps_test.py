# SPDX-License-Identifier: Apache-2.0
"""LoRA's steps, decoding and meshes against slower ways to the same numbers."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data_efficient.kernels import likelihood
from data_efficient.models import adapters, checkpoints, networks
from data_efficient.training import (
  batches,
  finetuning,
  local,
  metrics,
  optimizers,
  step,
)
from tests import devices
from tests.networks import FULL, llama, t5
from tests.training import fakes

LORA = adapters.Lora(rank=2, alpha=8.0, dropout_rate=0.2)
ADAMW = optimizers.adamw(b1=0.9, b2=0.99, epsilon=1e-8, weight_decay=0.1)
DECODED = adapters.Lora(rank=3, alpha=12.0, dropout_rate=0.0)
T5 = t5(vocab_size=40)


@pytest.mark.parametrize("kind", ["t5", "decoder"])
def test_a_step_is_that_of_the_slow_twin(kind):
  """W + s A B made anew, JAX's gradient of A and B, Optax by hand."""
  network, lora = fakes.CONFIG, dataclasses.replace(LORA, dropout_rate=0.0)
  if kind == "decoder":
    network = llama(vocab_size=384, layers=(FULL,), tied_head=False)
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, 300, (4, 9))
  batch = {
    "encoder_input_tokens": tokens,
    "decoder_input_tokens": tokens[:, :-1],
    "decoder_target_tokens": tokens[:, 1:],
    "decoder_loss_weights": rng.integers(0, 2, (4, 8)),
  }
  parameters = networks.init_parameters(network, jax.random.key(1))
  optimizer = ADAMW(optimizers.constant(learning_rate=0.01))
  state = step.initial_state(network, optimizer, jax.random.key(0), lora)
  train = jax.jit(
    functools.partial(
      step.train_step,
      **{"network": network, "optimizer": optimizer, "lora": lora},
      **{"z_loss": 0.0, "seed": 0},
    )
  )

  @jax.grad
  def gradient(adapter):
    merged = jax.tree.map(lambda leaf: leaf, parameters)
    for path, ab in _modules(adapter):
      module = functools.reduce(lambda tree, name: tree[name], path, merged)
      module["kernel"] += 8.0 / 2 * ab["a"] @ ab["b"]
    logits = networks.logits(network, merged, batch, dropout=None)
    losses = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch["decoder_target_tokens"]
    )
    weights = batch["decoder_loss_weights"]
    return (losses * weights).sum() / weights.sum()

  twin = optax.chain(
    optax.scale_by_adam(b1=0.9, b2=0.99),
    optax.add_decayed_weights(0.1),
    optax.scale(-0.01),
  )

  @jax.jit
  def by_hand(adapter, moments):
    updates, moments = twin.update(gradient(adapter), moments, adapter)
    return optax.apply_updates(adapter, updates), moments

  expected, moments = state.parameters, twin.init(state.parameters)
  for _ in range(3):
    state, _ = train(state, batch, parameters)
    expected, moments = by_hand(expected, moments)
  pairs = map(jax.tree.leaves, (state.parameters, expected))
  for found, leaf in zip(*pairs, strict=True):
    # Adam divides by the gradient's size: of tiny ones the sign may differ.
    assert np.mean(np.abs(found - leaf) > 1e-4) < 0.01
  assert not np.allclose(leaf, 0.0)


def _modules(adapter, path=()):
  if "a" in adapter:
    yield path, adapter
    return
  for name, below in adapter.items():
    yield from _modules(below, (*path, name))


def test_the_first_evaluation_is_that_of_the_base(tmp_path):
  base = tmp_path / "base"
  parameters = networks.init_parameters(fakes.CONFIG, jax.random.key(7))
  checkpoints.save_parameters(base, parameters)
  trained = finetuning.finetuning(
    run=fakes.run(str(tmp_path / "run"), steps=1),
    checkpoint=str(base),
    dropout_rate=None,
    schedule=optimizers.constant(learning_rate=0.01),
    optimizer=ADAMW,
    adapter=LORA,
  )
  local.Local(model_parallel=1, microbatches=1, log_period=1).train(trained)
  sums = jax.jit(
    functools.partial(step.evaluation_step, network=trained.network)
  )
  total = likelihood.empty()
  for batch in batches.evaluation(trained)["hq"]:
    total = likelihood.merge(total, sums(parameters, batch))
  row = next(r for r in metrics.read(trained.directory) if "evaluation" in r)
  expected = float(likelihood.means(total).loss)
  assert row["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("way", ["cached", "folded"])
def test_t5_decodes_with_an_adapter(way):
  parameters = networks.init_parameters(T5, jax.random.key(0))
  rng = np.random.default_rng(1)
  adapter = jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 8, jnp.float32),
    adapters.shapes(T5, DECODED),
  )
  batch = {
    "encoder_input_tokens": rng.integers(1, 40, (2, 9)),
    "decoder_input_tokens": rng.integers(1, 40, (2, 7)),
    "decoder_target_tokens": np.ones((2, 7), int),
  }
  source, tokens = batch["encoder_input_tokens"], batch["decoder_input_tokens"]

  def folded(module):
    states = module.encode(source)
    return module.answer(states, source, tokens, np.ones_like(tokens))

  def cached():
    call = jax.jit(
      functools.partial(
        T5.module().apply, decode=True, max_decode_length=7, mutable=["cache"]
      )
    )
    cache = call({"params": parameters}, source, tokens, tokens)[1]
    steps = []
    for position in range(3):
      one = tokens[:, position : position + 1]
      found, cache = call({"params": parameters, **cache}, source, one, one)
      steps.append(found)
    return jnp.concatenate(steps, axis=1)

  with adapters.applied(adapter, DECODED):
    if way == "cached":
      found = cached()
    else:
      run = jax.jit(functools.partial(T5.module().apply, method=folded))
      found = run({"params": parameters})
  expected = adapters.logits(
    T5, parameters, adapter, batch, lora=DECODED, dropout=None
  )[:, : found.shape[1]]
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_four_devices():
  file = pathlib.Path(__file__).with_name("adapters_on_devices.py")
  devices.check(file, count=4)
