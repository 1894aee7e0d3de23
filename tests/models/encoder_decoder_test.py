# SPDX-License-Identifier: Apache-2.0
"""The network against its NumPy twin, and what must not change its output."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import encoder_decoder, parameter_trees
from data_efficient.models.encoder_decoder import Transformer


@pytest.fixture(autouse=True)
def strict():
  with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
    yield


def test_logits_equal_the_twin(forward, twin, parameters, example):
  batch = (example.source, example.inputs, example.targets)
  logits = forward(parameters, *batch)
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(logits, twin(parameters, *batch), atol=2e-5)


def test_padding_does_not_change_logits(forward, parameters, example):
  short = forward(
    parameters,
    example.source[1:, :8],
    example.inputs[1:, :6],
    example.targets[1:, :6],
  )
  padded = forward(parameters, example.source, example.inputs, example.targets)
  np.testing.assert_allclose(short[0], padded[1, :6], atol=1e-5)


def test_a_batch_neighbour_does_not_change_logits(forward, parameters, example):
  other = np.where(example.source[:1] > 0, 39, 0)
  logits = forward(parameters, example.source, example.inputs, example.targets)
  changed = forward(
    parameters,
    np.concatenate([other, example.source[1:]]),
    example.inputs,
    example.targets,
  )
  assert np.array_equal(logits[1], changed[1])
  assert not np.allclose(logits[0], changed[0])


def test_the_decoder_is_causal(parameters, config, example):
  # Every decoder input is another token, absent from the source: the row of
  # the embedding table is the position.
  source = np.array([[30, 31, 32]])
  inputs = np.arange(1, 8)[None]
  position = 3

  @jax.jit
  def logit(table):
    changed = {**parameters, "token_embedder": {"embedding": table}}
    logits = Transformer(config).apply(
      {"params": changed}, source, inputs, inputs
    )
    return logits[0, position].sum()

  gradient = jax.grad(logit)(
    jnp.asarray(parameters["token_embedder"]["embedding"])
  )
  reached = np.abs(gradient[inputs[0]]).max(axis=1) > 0
  assert reached.tolist() == [True] * (position + 1) + [False] * 3


def test_packed_examples_do_not_see_each_other(forward, parameters):
  alone = forward(
    parameters, np.array([[5, 9, 3]]), np.array([[0, 14]]), np.array([[14, 8]])
  )
  packed = forward(
    parameters,
    np.array([[22, 21, 5, 9, 3]]),
    np.array([[0, 17, 0, 14]]),
    np.array([[17, 1, 14, 8]]),
    np.array([[1, 1, 2, 2, 2]]),
    np.array([[1, 1, 2, 2]]),
  )
  np.testing.assert_allclose(packed[0, 2:], alone[0], atol=1e-5)


@functools.partial(jax.jit, static_argnames=("config", "length"))
def _step(parameters, cache, encoded, source, token, *, config, length):
  return Transformer(config).apply(
    {"params": parameters, "cache": cache},
    encoded,
    source,
    token,
    token,
    decode=True,
    max_decode_length=length,
    mutable=["cache"],
    method=Transformer.decode,
  )


@functools.partial(jax.jit, static_argnames="config")
def _cache(parameters, source, inputs, *, config):
  _, variables = Transformer(config).apply(
    {"params": parameters},
    jnp.ones_like(source),
    jnp.ones_like(inputs),
    jnp.ones_like(inputs),
    decode=True,
    mutable=["cache"],
  )
  return variables["cache"]


def test_cached_decoding_equals_teacher_forcing(
  forward, parameters, config, example
):
  module = Transformer(config)
  source, inputs = example.source, example.inputs
  # Decoding never masks by the target: compare with targets without padding.
  expected = forward(parameters, source, inputs, np.ones_like(inputs))
  encode = jax.jit(functools.partial(module.apply, method=module.encode))
  encoded = encode({"params": parameters}, source)
  cache = _cache(parameters, source, inputs, config=config)
  for position in range(inputs.shape[1]):
    logits, variables = _step(
      parameters,
      cache,
      encoded,
      source,
      inputs[:, position : position + 1],
      config=config,
      length=inputs.shape[1],
    )
    cache = variables["cache"]
    np.testing.assert_allclose(logits[:, 0], expected[:, position], atol=1e-5)


def test_decoding_refuses_what_it_cannot_cache(parameters, config, example):
  source, inputs = example.source, example.inputs
  encoded = jnp.zeros((2, 12, 16))
  cache = _cache(parameters, source, inputs, config=config)
  call = functools.partial(_step, parameters, cache, encoded, source)
  with pytest.raises(ValueError, match="got 2 tokens: expected one"):
    call(inputs[:, :2], config=config, length=9)
  with pytest.raises(ValueError, match="holds 9 steps, the position bias 5"):
    call(inputs[:, :1], config=config, length=5)
  with pytest.raises(ValueError, match="packed examples"):
    Transformer(config).apply(
      {"params": parameters},
      source,
      inputs,
      inputs,
      source,
      inputs,
      decode=True,
      mutable=["cache"],
    )


def test_bfloat16_stays_inside_the_matmuls(
  forward, parameters, config, example
):
  half = dataclasses.replace(config, dtype=jnp.bfloat16)
  assert half.dtype == "bfloat16" and hash(half) != hash(config)
  batch = (example.source, example.inputs, example.targets)
  text = str(
    jax.make_jaxpr(lambda p: Transformer(half).apply({"params": p}, *batch))(
      parameters
    )
  )
  rounded = {
    line.split("=", 1)[1].split("[")[0].strip()
    for line in text.splitlines()
    if ":bf16" in line.split("=", 1)[0]
  }
  assert rounded == {"convert_element_type"}
  logits = forward(parameters, *batch, config=half)
  error = np.abs(logits - forward(parameters, *batch)).mean()
  assert logits.dtype == jnp.float32
  assert 1e-4 < error < 0.05


def test_dropout_needs_asking(forward, parameters, config, example):
  # One layer: compiling random bits is slow.
  still = dataclasses.replace(
    config, num_encoder_layers=1, num_decoder_layers=1
  )
  dropping = dataclasses.replace(still, dropout_rate=0.5)
  batch = (example.source, example.inputs, example.targets)
  logits = functools.partial(forward, parameters, *batch, config=dropping)
  first, second = (logits(key=jax.random.key(seed)) for seed in (0, 1))
  assert not np.allclose(first, second)
  assert np.array_equal(logits(), forward(parameters, *batch, config=still))


def test_a_token_outside_the_vocabulary_gives_nan(forward, parameters, example):
  source = example.source.copy()
  source[0, 3] = 40
  logits = forward(parameters, source, example.inputs, example.targets)
  assert np.isnan(logits[0]).all() and np.isfinite(logits[1]).all()


def test_embedding_is_the_mean_of_unpadded_states(parameters, config, example):
  module = Transformer(config)
  variables = {"params": parameters}
  states, vectors = (
    jax.jit(functools.partial(module.apply, method=method))(
      variables, example.source
    )
    for method in (module.encode, module.embed)
  )
  for row, vector in enumerate(vectors):
    kept = [
      state
      for state, token in zip(states[row], example.source[row], strict=True)
      if token
    ]
    np.testing.assert_allclose(vector, np.mean(kept, axis=0), atol=1e-6)


def test_mean_pool_ignores_nan_and_survives_empty_rows():
  states = np.array([[[1.0, 2], [3, 6]], [[5, 5], [np.nan, 1]], [[1, 1]] * 2])
  mask = np.array([[True, True], [True, False], [False, False]])
  pooled = encoder_decoder.mean_pool(jnp.asarray(states, jnp.float32), mask)
  assert pooled.tolist() == [[2, 4], [5, 5], [0, 0]]


ATTENTION = {name: (16, 16) for name in ("query", "key", "value", "out")}
FEED_FORWARD = {"wi_0": (16, 24), "wi_1": (16, 24), "wo": (24, 16)}


def _expected_tree():
  tree = {
    "token_embedder/embedding": (40, 16),
    "encoder/relpos_bias/rel_embedding": (2, 8),
    "encoder/encoder_norm/scale": (16,),
    "decoder/relpos_bias/rel_embedding": (2, 8),
    "decoder/decoder_norm/scale": (16,),
    "decoder/logits_dense/kernel": (16, 40),
  }
  stacks = {
    "encoder": {
      "pre_attention_layer_norm": None,
      "attention": ATTENTION,
      "pre_mlp_layer_norm": None,
      "mlp": FEED_FORWARD,
    },
    "decoder": {
      "pre_self_attention_layer_norm": None,
      "self_attention": ATTENTION,
      "pre_cross_attention_layer_norm": None,
      "encoder_decoder_attention": ATTENTION,
      "pre_mlp_layer_norm": None,
      "mlp": FEED_FORWARD,
    },
  }
  for stack, modules in stacks.items():
    for layer in ("layers_0", "layers_1"):
      for module, kernels in modules.items():
        if kernels is None:
          tree[f"{stack}/{layer}/{module}/scale"] = (16,)
          continue
        for kernel, shape in kernels.items():
          tree[f"{stack}/{layer}/{module}/{kernel}/kernel"] = shape
  return tree


def test_parameter_tree(config):
  tree = parameter_trees.flatten(encoder_decoder.parameter_shapes(config))
  assert {name: leaf.shape for name, leaf in tree.items()} == _expected_tree()
  assert {leaf.dtype for leaf in tree.values()} == {jnp.dtype("float32")}


def test_parameter_axes(config):
  named = encoder_decoder.parameter_axes(config)
  assert tuple(named["token_embedder"]["embedding"]) == ("vocab", "embed")
  layer = named["decoder"]["layers_1"]
  assert tuple(layer["self_attention"]["query"]["kernel"]) == (
    "embed",
    "joined_kv",
  )
  assert tuple(layer["self_attention"]["out"]["kernel"]) == (
    "joined_kv",
    "embed",
  )
  assert tuple(layer["mlp"]["wi_0"]["kernel"]) == ("embed", "mlp")
  assert tuple(layer["mlp"]["wo"]["kernel"]) == ("mlp", "embed")
  assert tuple(layer["pre_mlp_layer_norm"]["scale"]) == ("embed",)
  assert tuple(named["decoder"]["relpos_bias"]["rel_embedding"]) == (
    "heads",
    "relpos_buckets",
  )
  assert tuple(named["decoder"]["logits_dense"]["kernel"]) == (
    "embed",
    "vocab",
  )


@pytest.mark.parametrize(
  "sizes, count",
  [
    # emb_dim, heads, mlp_dim, layers: published T5 1.1 small and base.
    ((512, 6, 1024, 8), 76_961_152),
    ((768, 12, 2048, 12), 247_577_856),
  ],
)
def test_parameter_count_is_the_published_one(sizes, count, config):
  emb_dim, num_heads, mlp_dim, num_layers = sizes
  published = dataclasses.replace(
    config,
    vocab_size=32128,
    emb_dim=emb_dim,
    num_heads=num_heads,
    head_dim=64,
    mlp_dim=mlp_dim,
    num_encoder_layers=num_layers,
    num_decoder_layers=num_layers,
    relative_attention_num_buckets=32,
  )
  assert encoder_decoder.parameter_count(published) == count


def test_initial_scales(config):
  wide = dataclasses.replace(
    config,
    vocab_size=400,
    emb_dim=64,
    num_encoder_layers=1,
    num_decoder_layers=0,
    embedding_init_stddev=0.1,
  )
  tree = encoder_decoder.init_parameters(wide, jax.random.key(0))
  attention = tree["encoder"]["layers_0"]["attention"]
  assert np.std(tree["token_embedder"]["embedding"]) == pytest.approx(
    0.1, rel=0.03
  )
  assert np.std(attention["key"]["kernel"]) == pytest.approx(1 / 8, rel=0.1)
  # The scaling of attention logits by 1 / √head_dim is here.
  assert np.std(attention["query"]["kernel"]) == pytest.approx(
    1 / 8 / np.sqrt(8), rel=0.1
  )
  assert np.all(tree["encoder"]["encoder_norm"]["scale"] == 1)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"dtype": "float16"}, "dtype = 'float16': expected float32 or bfloat16"),
    ({"dropout_rate": 1.0}, "dropout_rate = 1.0"),
  ],
)
def test_config_refuses(change, message, config):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(config, **change)
