# SPDX-License-Identifier: Apache-2.0
"""A tiny T5 1.1, and the same network once more: in NumPy, by definition."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import encoder_decoder
from tests import networks

# Few buckets, so that the logarithmic ones are reached by short sequences.
CONFIG = networks.t5(
  vocab_size=40,
  mlp_dim=24,
  layers=2,
  relative_attention_num_buckets=8,
  relative_attention_max_distance=10,
)


class Example:
  """One padded batch: two sources of 12 and 8, two targets of 9 and 6."""

  source = np.array(
    [
      [5, 9, 3, 22, 8, 31, 17, 4, 11, 6, 2, 1],
      [12, 7, 7, 30, 3, 19, 25, 1, 0, 0, 0, 0],
    ]
  )
  targets = np.array(
    [[14, 3, 8, 33, 20, 5, 16, 2, 1], [6, 9, 21, 4, 10, 1] + [0] * 3]
  )
  inputs = np.concatenate([np.zeros((2, 1), int), targets[:, :-1]], axis=1)


@pytest.fixture
def config():
  return CONFIG


@pytest.fixture
def example():
  return Example


@pytest.fixture(scope="session")
def parameters():
  random = np.random.default_rng(0)

  def draw(leaf):
    values = random.normal(size=leaf.shape)
    # Norms near 1: with small ones, gelu's two forms could not be told apart.
    norm = len(leaf.shape) == 1
    values = 1 + values / 4 if norm else values / math.sqrt(leaf.shape[0])
    return jnp.asarray(values, jnp.float32)

  return jax.tree.map(draw, encoder_decoder.parameter_shapes(CONFIG))


@functools.partial(jax.jit, static_argnames="config")
def _forward(parameters, *batch, config=CONFIG, key=None):
  return encoder_decoder.Transformer(config).apply(
    {"params": parameters},
    *batch,
    enable_dropout=key is not None,
    rngs=None if key is None else {"dropout": key},
  )


@pytest.fixture
def forward():
  return _forward


@pytest.fixture
def twin():
  return twin_forward


def twin_forward(parameters, source, inputs, targets, config=CONFIG):
  """Logits [b, t, v], one example, head and query after the other."""
  return np.stack(
    [
      _one_example(parameters, *rows, config)
      for rows in zip(source, inputs, targets, strict=True)
    ]
  )


def _one_example(p, source, inputs, targets, config):
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), p)
  table = p["token_embedder"]["embedding"]
  encoder, decoder = p["encoder"], p["decoder"]
  seen = [
    [j for j in range(len(source)) if source[j] and source[i]]
    for i in range(len(source))
  ]
  bias = _bias(
    encoder["relpos_bias"]["rel_embedding"], len(source), True, config
  )
  x = table[source]
  for i in range(config.num_encoder_layers):
    layer = encoder[f"layers_{i}"]
    y = _norm(x, layer["pre_attention_layer_norm"])
    x = x + _attend(layer["attention"], y, y, seen, bias, config)
    x = x + _feed(layer["mlp"], _norm(x, layer["pre_mlp_layer_norm"]))
  memory = _norm(x, encoder["encoder_norm"])

  length = range(len(targets))
  before = [
    [j for j in range(i + 1) if targets[j] and targets[i]] for i in length
  ]
  across = [
    [j for j in range(len(source)) if source[j] and targets[i]] for i in length
  ]
  bias = _bias(
    decoder["relpos_bias"]["rel_embedding"], len(targets), False, config
  )
  x = table[inputs]
  for i in range(config.num_decoder_layers):
    layer = decoder[f"layers_{i}"]
    y = _norm(x, layer["pre_self_attention_layer_norm"])
    x = x + _attend(layer["self_attention"], y, y, before, bias, config)
    y = _norm(x, layer["pre_cross_attention_layer_norm"])
    nothing = np.zeros((config.num_heads, len(targets), len(source)))
    x = x + _attend(
      layer["encoder_decoder_attention"], y, memory, across, nothing, config
    )
    x = x + _feed(layer["mlp"], _norm(x, layer["pre_mlp_layer_norm"]))
  return _norm(x, decoder["decoder_norm"]) @ decoder["logits_dense"]["kernel"]


def _norm(x, p):
  return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"]


def _feed(p, x):
  gate = x @ p["wi_0"]["kernel"]
  gelu = (
    gate
    / 2
    * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
  )
  return (gelu * (x @ p["wi_1"]["kernel"])) @ p["wo"]["kernel"]


def _attend(p, x, memory, visible, bias, config):
  size = config.head_dim
  result = np.zeros((len(x), config.num_heads * size))
  for head in range(config.num_heads):
    columns = slice(head * size, (head + 1) * size)
    q, k, v = (
      values @ p[name]["kernel"][:, columns]
      for name, values in (("query", x), ("key", memory), ("value", memory))
    )
    for i, keys in enumerate(visible):
      if not keys:  # padding looks everywhere alike
        result[i, columns] = v.mean(0)
        continue
      logits = np.array([q[i] @ k[j] + bias[head, i, j] for j in keys])
      weights = np.exp(logits - logits.max())
      result[i, columns] = (weights / weights.sum()) @ v[keys]
  return result @ p["out"]["kernel"]


def _bias(table, length, bidirectional, config):
  numbers = (
    config.relative_attention_num_buckets,
    config.relative_attention_max_distance,
  )
  return np.array(
    [
      [
        [row[bucket(j - i, bidirectional, *numbers)] for j in range(length)]
        for i in range(length)
      ]
      for row in table
    ]
  )


def bucket(relative, bidirectional, buckets, max_distance):
  """Of one key at `relative` = key position − query position."""
  offset = 0
  if bidirectional:
    buckets //= 2
    offset = buckets if relative > 0 else 0
    distance = abs(relative)
  else:
    distance = max(-relative, 0)
  exact = buckets // 2
  if distance < exact:
    return offset + distance
  # 1e-9: on the edge of two buckets (64 = 8 · 16^¾) belongs to the far one.
  octave = math.log(distance / exact) / math.log(max_distance / exact)
  return offset + min(
    exact + int(octave * (buckets - exact) + 1e-9), buckets - 1
  )


@pytest.fixture
def twin_bucket():
  return bucket
