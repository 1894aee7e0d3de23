# SPDX-License-Identifier: Apache-2.0
"""LoRA: the network as it was, the network with merged kernels, and between."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import adapters, networks, parameter_trees
from tests.networks import FULL, llama, t5

LORA = adapters.Lora(rank=3, alpha=12.0, dropout_rate=0.0)
T5 = t5(vocab_size=40)
LLAMA = llama(vocab_size=40, layers=(FULL,), tied_head=False, qkv_bias=True)
TOKENS = np.random.default_rng(0).integers(1, 40, (2, 7))
BATCH = {
  "encoder_input_tokens": np.random.default_rng(1).integers(1, 40, (2, 9)),
  "decoder_input_tokens": np.pad(TOKENS[:, :-1], [(0, 0), (1, 0)]),
  "decoder_target_tokens": TOKENS,
}


@functools.cache
def _parameters(network):
  return networks.init_parameters(network, jax.random.key(0))


def _drawn(network, lora=LORA, seed: int = 1):
  """An adapter that changes something."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) / 8, jnp.float32),
    adapters.shapes(network, lora),
  )


@functools.partial(jax.jit, static_argnames=("network", "lora"))
def _adapted(network, parameters, adapter, lora=LORA, dropout=None):
  return adapters.logits(
    network, parameters, adapter, BATCH, lora=lora, dropout=dropout
  )


@functools.partial(jax.jit, static_argnames="network")
def _plain(network, parameters):
  return networks.logits(network, parameters, BATCH, dropout=None)


@pytest.mark.parametrize("network", [T5, LLAMA])
def test_merged_parameters_have_the_same_logits(network):
  parameters, adapter = _parameters(network), _drawn(network)
  base = _plain(network, parameters)
  merged = adapters.merged(parameters, adapter, LORA)
  found = _adapted(network, parameters, adapter)
  np.testing.assert_allclose(found, _plain(network, merged), atol=1e-5)
  assert np.abs(found - base).max() > 0.05
  # A new one changes nothing.
  adapter = adapters.init(network, LORA, jax.random.key(3))
  assert np.array_equal(_adapted(network, parameters, adapter), base)


def test_every_projection_but_the_head_is_adapted():
  found = parameter_trees.flatten(adapters.shapes(LLAMA, LORA))
  layer = {
    name.removeprefix("layers_0/"): leaf.shape for name, leaf in found.items()
  }
  assert layer == {
    **{"attention/query/a": (16, 3), "attention/query/b": (3, 32)},
    **{"attention/key/a": (16, 3), "attention/key/b": (3, 16)},
    **{"attention/value/a": (16, 3), "attention/value/b": (3, 16)},
    **{"attention/out/a": (32, 3), "attention/out/b": (3, 16)},
    **{"mlp/gate/a": (16, 3), "mlp/gate/b": (3, 24)},
    **{"mlp/up/a": (16, 3), "mlp/up/b": (3, 24)},
    **{"mlp/down/a": (24, 3), "mlp/down/b": (3, 16)},
  }


@pytest.mark.parametrize(
  "targets, count",
  [
    (("query", "value"), 3 * 2),
    (("self_attention/query",), 1),
    (("encoder/*/wo",), 1),
    (("*/layers_0/mlp/wi_?",), 2 * 2),
    (("all-linear", "logits_dense"), 7 + 11 + 1),
  ],
)
def test_targets_are_patterns_of_module_paths(targets, count):
  lora = dataclasses.replace(LORA, targets=targets)
  assert len(jax.tree.leaves(adapters.shapes(T5, lora))) == 2 * count


def test_a_first_draw_depends_on_key_and_path_alone():
  lora = dataclasses.replace(LORA, targets=("query",), rank=300)
  every = dataclasses.replace(LORA, rank=300)
  few, many = (
    adapters.init(LLAMA, each, jax.random.key(0))["layers_0"]["attention"]
    for each in (lora, every)
  )
  assert np.array_equal(few["query"]["a"], many["query"]["a"])
  assert not np.array_equal(many["query"]["a"], many["key"]["a"])
  # Of 16 inputs; that of the authors' uniform draw from ± 1 / √16.
  assert float(many["query"]["a"].var()) == pytest.approx(1 / 48, rel=0.05)


def test_a_text_that_is_read_in_pieces_has_the_same_states():
  parameters, adapter = _parameters(LLAMA), _drawn(LLAMA)
  tokens = BATCH["decoder_input_tokens"]
  valid = np.ones_like(tokens, bool)

  def read(module):
    states, past = module.read(tokens[:, :4], valid[:, :4])
    more, _ = module.read(tokens[:, 4:], valid[:, 4:], past)
    return module.head(jnp.concatenate([states, more], axis=1))

  run = jax.jit(functools.partial(LLAMA.module().apply, method=read))
  with adapters.applied(adapter, LORA):
    found = run({"params": parameters})
  expected = _adapted(LLAMA, parameters, adapter)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_is_that_of_the_adapters_inputs():
  """A B is the identity of the 16 states, and the head adds them up."""
  lora = adapters.Lora(
    rank=16, alpha=16.0, dropout_rate=0.25, targets=("logits_dense",)
  )
  adapter = {"logits_dense": {"a": jnp.eye(16), "b": jnp.eye(16, 40)}}
  parameters = _parameters(LLAMA)
  base = _plain(LLAMA, parameters)
  states = (_adapted(LLAMA, parameters, adapter, lora) - base)[..., :16]
  key = jax.random.key(5)
  dropped = (_adapted(LLAMA, parameters, adapter, lora, key) - base)[..., :16]
  kept = np.abs(dropped) > 1e-5
  assert 0.6 < kept.mean() < 0.9
  np.testing.assert_allclose(
    dropped, np.where(kept, states / 0.75, 0.0), atol=1e-5
  )
  # The network itself drops nothing.
  new = jax.tree.map(jnp.zeros_like, adapter)
  assert np.array_equal(_adapted(LLAMA, parameters, new, lora, key), base)


def test_gradients_are_those_through_the_merged_kernels():
  network = dataclasses.replace(LLAMA, remat="full")
  parameters, adapter = _parameters(LLAMA), _drawn(LLAMA)

  def loss(logits):
    return (jax.nn.log_softmax(logits) ** 2).mean()

  def ours(adapter):
    return loss(_adapted(network, parameters, adapter))

  def twins(adapter):
    return loss(_plain(LLAMA, adapters.merged(parameters, adapter, LORA)))

  found, expected = jax.grad(ours)(adapter), jax.grad(twins)(adapter)
  leaves = map(jax.tree.leaves, (found, expected))
  for ours, twin in zip(*leaves, strict=True):
    np.testing.assert_allclose(ours, twin, atol=1e-5 * np.abs(twin).max())


def test_no_gradient_of_the_base_is_computed():
  network = llama(
    vocab_size=40, layers=(FULL,), emb_dim=64, mlp_dim=256, dtype="bfloat16"
  )
  shapes = networks.parameter_shapes(network)
  tokens = jax.ShapeDtypeStruct((4, 64), jnp.int32)
  batch = {name: tokens for name in network.required}

  def flops(gradient, *arguments) -> float:
    compiled = jax.jit(gradient).lower(*arguments, batch).compile()
    return compiled.cost_analysis()["flops"]

  def full(parameters, batch):
    return networks.logits(network, parameters, batch, dropout=None).sum()

  def adapted(adapter, parameters, batch):
    return adapters.logits(
      network, parameters, adapter, batch, lora=LORA, dropout=None
    ).sum()

  adapter = adapters.shapes(network, LORA)
  whole = flops(jax.grad(full), shapes)
  saved = whole - flops(jax.grad(adapted), adapter, shapes)
  # A product for each kernel, less three for each array of the adapter.
  count = sum(leaf.size for leaf in jax.tree.leaves(adapter))
  kernels = sum(
    leaf.size
    for path, leaf in parameter_trees.flatten(shapes).items()
    if path.endswith("kernel")
  )
  assert saved > 0.95 * 2 * tokens.size * (kernels - 3 * count)


@pytest.mark.parametrize(
  "changes, match",
  [
    ({"rank": 0}, "rank = 0: expected at least 1"),
    ({"alpha": 0.0}, "alpha = 0.0: expected more"),
    ({"dropout_rate": 1.0}, "dropout_rate = 1.0"),
    ({"targets": ()}, "targets is empty"),
    ({"targets": ("q_proj",)}, "no projection .* 'q_proj'.* called down, gate"),
  ],
)
def test_a_lora_that_adapts_nothing_is_refused(changes, match):
  with pytest.raises(adapters.AdapterError, match=match):
    adapters.shapes(LLAMA, dataclasses.replace(LORA, **changes))


def test_an_adapter_of_another_network_is_refused():
  adapter = _drawn(llama(vocab_size=40, mlp_dim=32))
  with pytest.raises(
    adapters.AdapterError, match=r"layers_0/mlp/down .* \(32, 16\).* \(24, 16\)"
  ):
    adapters.merged(_parameters(LLAMA), adapter, LORA)
