# SPDX-License-Identifier: Apache-2.0
"""Encoders against a slow twin, and what must not move a vector."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from data_efficient.models import encoder, encoder_decoder, networks
from tests import networks as small
from tests.models import encoders

NETWORKS = {
  "mean": encoders.BERT,
  "cls": dataclasses.replace(
    encoders.BERT, pooling="cls", normalise=False, activation="gelu_new"
  ),
  "relu": dataclasses.replace(
    encoders.BERT, activation="relu", norm_epsilon=0.3
  ),
}
TEXTS = ([5, 9, 3, 22, 8, 31, 17], [12, 7, 30], [1])


@functools.partial(jax.jit, static_argnames="network")
def embed(parameters, tokens, *, network):
  return network.module().apply({"params": parameters}, tokens)


def padded(texts, length):
  tokens = np.zeros((len(texts), length), np.int32)
  for row, text in zip(tokens, texts, strict=True):
    row[: len(text)] = text
  return tokens


@pytest.mark.parametrize("name", NETWORKS)
def test_bert_is_its_twin(name):
  network = NETWORKS[name]
  parameters = encoders.parameters(network)
  found = embed(parameters, padded(TEXTS, 12), network=network)
  expected = [_twin(parameters, text, network) for text in TEXTS]
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert np.std(expected, axis=0).min() > 1e-3


@pytest.mark.parametrize("network", [encoders.BERT, encoders.SENTENCE_T5])
def test_padding_neighbours_and_order_move_nothing(network):
  parameters = encoders.parameters(network)
  found = embed(parameters, padded(TEXTS, 12), network=network)
  wider = embed(parameters, padded(TEXTS, 20), network=network)
  alone = [
    embed(parameters, padded([text], 12), network=network)[0] for text in TEXTS
  ]
  turned = embed(parameters, padded(TEXTS[::-1], 12), network=network)[::-1]
  for others in (wider, np.stack(alone), turned):
    np.testing.assert_allclose(others, found, atol=1e-5)
  np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
  assert found.shape == (3, 12 if network is encoders.SENTENCE_T5 else 16)
  # Another text has another vector.
  assert np.abs(found[0] - found[1]).max() > 0.1


def test_sentence_t5_is_a_projected_mean_of_states():
  # The states are those of the T5 of tests/models/encoder_decoder_test.py,
  # which has a twin; what follows them is written out here.
  network = dataclasses.replace(encoders.SENTENCE_T5, gated=True)
  parameters = encoders.parameters(network)
  judge = small.t5(
    vocab_size=40,
    mlp_dim=24,
    layers=2,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=10,
  )
  tokens = padded(TEXTS, 12)
  module = encoder_decoder.Transformer(judge)
  of_encoder = {k: parameters[k] for k in ("token_embedder", "encoder")}
  means = jax.jit(functools.partial(module.apply, method=module.embed))(
    {"params": of_encoder}, tokens
  )
  expected = np.asarray(means) @ np.asarray(parameters["projection"]["kernel"])
  expected /= np.linalg.norm(expected, axis=1, keepdims=True)
  found = embed(parameters, tokens, network=network)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_text_without_tokens_has_finite_numbers():
  for network in (encoders.BERT, encoders.SENTENCE_T5):
    found = embed(
      encoders.parameters(network), np.zeros((1, 12), int), network=network
    )
    assert np.isfinite(found).all()


def test_bfloat16_is_near():
  network = dataclasses.replace(encoders.BERT, dtype="bfloat16")
  parameters = encoders.parameters(network)
  exact = embed(parameters, padded(TEXTS, 12), network=encoders.BERT)
  found = embed(parameters, padded(TEXTS, 12), network=network)
  assert 1e-5 < np.abs(found - exact).max() < 0.05


def test_every_parameter_is_placed():
  axes = networks.parameter_axes(encoders.BERT)
  shapes = networks.parameter_shapes(encoders.BERT)
  assert jax.tree.structure(shapes) == jax.tree.structure(
    axes, is_leaf=lambda leaf: isinstance(leaf, jax.sharding.PartitionSpec)
  )


@pytest.mark.parametrize(
  "wrong",
  [
    {"num_heads": 3},
    {"activation": "swish"},
    {"pooling": "max"},
    {"dtype": "float16"},
  ],
)
def test_sizes_that_make_no_network_are_refused(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=name.replace("num_", "")):
    dataclasses.replace(encoders.BERT, **wrong)


def test_a_text_beyond_the_positions_is_refused():
  with pytest.raises(ValueError, match="24 positions"):
    embed(
      encoders.parameters(encoders.BERT),
      np.ones((1, 25), int),
      network=encoders.BERT,
    )


def _twin(parameters, text, network: encoder.BertConfig):
  """One text without padding, head by head, in float64."""
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), parameters)

  def norm(x, at):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + network.norm_epsilon)
    return x * at["scale"] + at["bias"]

  def affine(x, at):
    return x @ at["kernel"] + at["bias"]

  x = p["token_embedder"]["embedding"][text] + p["positions"][: len(text)]
  x = norm(x + p["token_types"][0], p["embedding_norm"])
  size = network.emb_dim // network.num_heads
  for i in range(network.num_encoder_layers):
    at = p[f"layers_{i}"]
    q, k, v = (affine(x, at["attention"][n]) for n in ("query", "key", "value"))
    mixed = np.zeros_like(x)
    for head in range(network.num_heads):
      part = slice(head * size, (head + 1) * size)
      weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
      weights /= weights.sum(-1, keepdims=True)
      mixed[:, part] = weights @ v[:, part]
    y = affine(mixed, at["attention"]["out"])
    x = norm(x + y, at["attention_norm"])
    hidden = _ACTIVATIONS[network.activation](affine(x, at["wi"]))
    x = norm(x + affine(hidden, at["wo"]), at["mlp_norm"])
  vector = x[0] if network.pooling == "cls" else x.mean(0)
  return vector / np.linalg.norm(vector) if network.normalise else vector


_ACTIVATIONS = {
  "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
  "gelu_new": lambda x: (
    x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
  ),
  "relu": lambda x: np.maximum(x, 0),
}
