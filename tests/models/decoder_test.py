# SPDX-License-Identifier: Apache-2.0
"""Decoder-only networks: a trained one reads, and nothing moves its answers."""

import functools
import heapq
import struct

import jax
import numpy as np
import pytest

from data_efficient.models import decoder_layers, networks, rotary
from tests.networks import FULL, llama


@functools.partial(jax.jit, static_argnames="config")
def _log_probabilities(config, parameters, tokens, valid):
  def run(module):
    return jax.nn.log_softmax(module.head(module.read(tokens, valid)[0]))

  return config.module().apply({"params": parameters}, method=run)


class Story:
  """The network of a llama2.c file, and its vocabulary."""

  def __init__(self, folder):
    data = (folder / "stories260K.bin").read_bytes()
    dim, hidden, depth, heads, groups, vocabulary, length = struct.unpack(
      "7i", data[:28]
    )
    size = dim // heads
    numbers = iter_arrays(np.frombuffer(data[28:], np.float32))
    table = numbers(vocabulary, dim)
    norms = numbers(depth, dim)
    query = _halves(numbers(depth, heads * size, dim), heads)
    key = _halves(numbers(depth, groups * size, dim), groups)
    value, out = numbers(depth, groups * size, dim), numbers(depth, dim, dim)
    mlp_norms = numbers(depth, dim)
    gate, down = numbers(depth, hidden, dim), numbers(depth, dim, hidden)
    up = numbers(depth, hidden, dim)
    self.config = llama(
      **{"vocab_size": vocabulary, "emb_dim": dim, "num_heads": heads},
      **{"num_kv_heads": groups, "head_dim": size, "mlp_dim": hidden},
      **{"layers": (FULL,) * depth, "query_scale": size**-0.5},
    )
    kernels = {
      "attention": {"query": query, "key": key, "value": value, "out": out},
      "mlp": {"gate": gate, "up": up, "down": down},
    }
    self.parameters = {
      "token_embedder": {"embedding": table},
      "decoder_norm": {"scale": numbers(dim)},
    }
    for i in range(depth):
      self.parameters[f"layers_{i}"] = {
        "pre_attention_norm": {"scale": norms[i]},
        "pre_mlp_norm": {"scale": mlp_norms[i]},
        **{
          block: {name: {"kernel": w[i].T} for name, w in named.items()}
          for block, named in kernels.items()
        },
      }
    self._pieces, self._scores = [], []
    data = (folder / "stories260K.tok512.bin").read_bytes()[4:]
    while data:
      score, count = struct.unpack("fi", data[:8])
      self._scores.append(score)
      self._pieces.append(data[8 : 8 + count])
      data = data[8 + count :]

  def ids(self, text):
    """The start, and the pieces: the best pair is joined again and again."""
    ids = {piece: i for i, piece in enumerate(self._pieces)}
    pieces = [c.encode() for c in f" {text}"]
    while True:
      pairs = [
        (-self._scores[ids[a + b]], i)
        for i, (a, b) in enumerate(zip(pieces, pieces[1:], strict=False))
        if a + b in ids
      ]
      if not pairs:
        return [1, *(ids[piece] for piece in pieces)]
      _, i = heapq.nsmallest(1, pairs)[0]
      pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


def iter_arrays(numbers):
  """A function that takes the next array of a shape."""
  place = 0

  def take(*shape):
    nonlocal place
    place += (count := int(np.prod(shape)))
    return numbers[place - count : place].reshape(shape)

  return take


def _halves(kernel, heads):
  """Pairs of components that stand beside one another, half a head apart."""
  depth, rows, columns = kernel.shape
  pairs = kernel.reshape(depth, heads, -1, 2, columns)
  return pairs.swapaxes(2, 3).reshape(depth, rows, columns)


@pytest.fixture(scope="module")
def story(shared):
  return Story(shared / "models")


def test_a_trained_model_tells_english_from_its_words_shuffled(story):
  text = (
    "Once upon a time, there was a little girl named Lily. She loved to play"
    " outside in the park. One day, she saw a big red ball. She wanted to play"
    " with it, but it was too high."
  )
  words = text.split()
  np.random.default_rng(0).shuffle(words)
  rows = [story.ids(text), story.ids(" ".join(words))]
  tokens = np.zeros((2, max(map(len, rows))), np.int32)
  valid = np.zeros(tokens.shape, bool)
  for row, ids in enumerate(rows):
    tokens[row, : len(ids)] = ids
    valid[row, : len(ids)] = True
  found = _log_probabilities(story.config, story.parameters, tokens, valid)
  fluent, shuffled = (
    -np.mean([found[row, t, ids[t + 1]] for t in range(len(ids) - 1)])
    for row, ids in enumerate(rows)
  )
  assert fluent < 1.0 and shuffled > 4.0


@pytest.fixture(scope="module")
def network():
  windowed = decoder_layers.LayerKind(
    rotary=rotary.Rotary(theta=100.0), window=4
  )
  config = llama(
    vocab_size=40,
    **{"layers": (windowed, FULL), "qkv_bias": True, "head_norms": True},
    **{"post_norms": True, "logit_cap": 20.0, "final_cap": 30.0},
  )
  return config, networks.init_parameters(config, jax.random.key(0))


def test_padding_and_neighbours_do_not_move_an_answer(network):
  rng = np.random.default_rng(0)
  text = rng.integers(0, 40, 9)
  alone = _log_probabilities(*network, text[None], np.ones((1, 9), bool))[0]
  for place in (0, 3, 5):
    tokens = rng.integers(0, 40, (4, 14))
    tokens[1, place : place + 9] = text
    valid = np.arange(14) < rng.integers(1, 15, (4, 1))
    valid[1] = (np.arange(14) >= place) & (np.arange(14) < place + 9)
    found = _log_probabilities(*network, tokens, valid)[1, place : place + 9]
    np.testing.assert_allclose(found, alone, atol=1e-5, rtol=0)


def test_padding_may_have_any_id(network):
  tokens = np.full((1, 5), -1)
  tokens[0, :3] = [7, 0, 39]
  found = _log_probabilities(*network, tokens, tokens >= 0)
  assert np.isfinite(np.asarray(found)).all()


def test_packed_examples_do_not_see_each_other(network):
  config, parameters = network
  rng = np.random.default_rng(1)
  first, second = rng.integers(0, 40, 6), rng.integers(0, 40, 5)
  packed = {
    "decoder_input_tokens": np.concatenate([first, second])[None],
    "decoder_target_tokens": np.ones((1, 11), np.int32),
    "decoder_segment_ids": np.array([[1] * 6 + [2] * 5]),
    "decoder_positions": np.concatenate([np.arange(6), np.arange(5)])[None],
  }
  logits = jax.jit(functools.partial(networks.logits, config, dropout=None))
  found = logits(parameters, packed)[0]
  for place, text in ((0, first), (6, second)):
    alone = logits(
      parameters,
      {
        "decoder_input_tokens": text[None],
        "decoder_target_tokens": text[None],
      },
    )[0]
    np.testing.assert_allclose(
      found[place : place + len(text)], alone, atol=1e-5, rtol=0
    )


def test_one_cache_serves_many_continuations(network):
  config, parameters = network
  rng = np.random.default_rng(2)
  prefix, targets = rng.integers(0, 40, (1, 7)), rng.integers(0, 40, (3, 6))

  def in_pieces(module):
    padded = np.pad(prefix, ((0, 0), (2, 2)))
    valid = (np.arange(11) >= 2) & (np.arange(11) < 9)
    _, past = module.read(padded, valid[None])
    _, past = module.read(targets[:, :2], np.ones((3, 2), bool), past)
    states, past = module.read(targets[:, 2:], np.ones((3, 4), bool), past)
    assert past.valid.shape == (3, 17)
    return jax.nn.log_softmax(module.head(states))

  apply = functools.partial(config.module().apply, method=in_pieces)
  found = jax.jit(apply)({"params": parameters})
  whole = np.concatenate([prefix.repeat(3, axis=0), targets], axis=1)
  expected = _log_probabilities(*network, whole, np.ones(whole.shape, bool))
  np.testing.assert_allclose(found, expected[:, 9:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"dtype": "float16"}, "float16"),
    ({"activation": "relu"}, "relu"),
    ({"num_kv_heads": 3}, "3 heads of keys"),
    ({"head_dim": 7}, "size 7"),
  ],
)
def test_sizes_that_make_no_network_are_refused(change, said):
  with pytest.raises(ValueError, match=said):
    llama(vocab_size=40, **change)
