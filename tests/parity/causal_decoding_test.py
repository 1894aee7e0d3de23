# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding beside a slow twin that reads all anew for every token."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import (
  decoder_cache,
  decoder_layers,
  networks,
  rotary,
)
from data_efficient.training import causal_decoding
from tests import networks as small

WORDS, LENGTH, PLACES = 40, 12, 20
PROMPTS = (9, 3, 14, 1)
# Ends that no network says.
NEVER = (WORDS, WORDS + 1)


def _windowed(window: int) -> decoder_layers.LayerKind:
  return decoder_layers.LayerKind(
    rotary=rotary.Rotary(theta=100.0), window=window
  )


CONFIGS = {
  "llama": small.llama(vocab_size=WORDS),
  # Windows shorter than the prompts, caps, and norms behind the blocks.
  "gemma_2": small.llama(
    vocab_size=WORDS,
    **{"layers": (_windowed(4), small.FULL, _windowed(6))},
    **{"post_norms": True, "norm_offset": 1.0, "embedding_scale": 0.5},
    **{"logit_cap": 5.0, "final_cap": 30.0, "activation": "gelu_tanh"},
    tied_head=False,
  ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def network(request):
  config = CONFIGS[request.param]
  parameters = networks.init_parameters(config, jax.random.key(1))
  # So large that what was read before decides what follows.
  return config, jax.tree.map(lambda x: x * (1 + 2 * (x.ndim > 1)), parameters)


@pytest.fixture(scope="module")
def prompts():
  rng = np.random.default_rng(0)
  return [rng.integers(0, WORDS, length).tolist() for length in PROMPTS]


@functools.partial(jax.jit, static_argnames="config")
def _logits(config, parameters, tokens):
  batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
  return networks.logits(config, parameters, batch, dropout=None)


def _slowly(network, prompt, eos_ids=()) -> list[int]:
  """One row, without a cache or padding before a token."""
  ids = list(prompt)
  while len(ids) < len(prompt) + LENGTH:
    tokens = np.full((1, PLACES + LENGTH), -1, np.int32)
    tokens[0, : len(ids)] = ids
    found = np.asarray(_logits(*network, tokens))
    ids.append(int(np.argmax(found[0, len(ids) - 1])))
    if ids[-1] in eos_ids:
      break
  return ids[len(prompt) :]


def _batch(prompts, places) -> causal_decoding.Prompts:
  """Prompts in a batch, the first token of each at its place."""
  tokens = np.full((len(prompts), PLACES), 10**6, np.int32)
  valid = np.zeros(tokens.shape, bool)
  for row, (ids, place) in enumerate(zip(prompts, places, strict=True)):
    tokens[row, place : place + len(ids)] = ids
    valid[row, place : place + len(ids)] = True
  return causal_decoding.Prompts(tokens, valid)


def _greedy(network, batch, eos_ids=NEVER) -> list[list[int]]:
  config, parameters = network
  found, steps = causal_decoding.greedy(
    parameters,
    batch,
    network=config,
    length=LENGTH,
    eos_ids=np.array(eos_ids, np.int32),
  )
  assert found.shape == (len(batch.tokens), LENGTH)
  rows = []
  for row in np.asarray(found).tolist():
    ids = [number for number in row if number >= 0]
    # Nothing but the padding stands behind the end.
    assert row == ids + [causal_decoding.NOTHING] * (LENGTH - len(ids))
    rows.append(ids)
  # It ends with the last row.
  assert steps == max(map(len, rows))
  return rows


@pytest.fixture(scope="module")
def expected(network, prompts):
  found = [_slowly(network, prompt) for prompt in prompts]
  # Or all would be right by repeating one token.
  assert len({token for row in found for token in row}) > 8
  return found


def test_tokens_are_those_of_the_slow_twin_wherever_padding_stands(
  network, prompts, expected
):
  left = [PLACES - len(ids) for ids in prompts]
  for places in ([0] * len(prompts), left, [p // 2 for p in left]):
    assert _greedy(network, _batch(prompts, places)) == expected


def test_neighbours_do_not_move_an_answer(network, prompts, expected):
  for row in (1, 2):
    rows = [prompts[row], *prompts[:3]]
    found = _greedy(network, _batch(rows, [3, 0, 2, 5]))
    assert found[0] == expected[row]


def test_a_row_ends_at_its_own_end(network, prompts, expected):
  # One that some rows come to late, and one that others do.
  eos_ids = (expected[0][5], expected[2][3])
  found = _greedy(network, _batch(prompts, [0, 0, 0, 0]), eos_ids)
  assert found == [_slowly(network, prompt, eos_ids) for prompt in prompts]
  lengths = list(map(len, found))
  assert min(lengths) < LENGTH and len(set(lengths)) > 1
  for row, ids in zip(expected, found, strict=True):
    assert row[: len(ids)] == ids


def test_a_row_without_a_prompt_is_left_empty(network, prompts, expected):
  rows = [prompts[0], [], prompts[2], []]
  found = _greedy(network, _batch(rows, [0, 0, 0, 0]))
  assert found == [expected[0], [], expected[2], []]


def test_the_loop_ends_with_the_first_token_of_the_last_row(
  network, prompts, expected
):
  rows = [prompts[0], prompts[0], [], prompts[0]]
  ends = (expected[0][0], WORDS)
  found = _greedy(network, _batch(rows, [0, 3, 0, 9]), ends)
  assert found == [expected[0][:1], expected[0][:1], [], expected[0][:1]]


def test_one_program_serves_all_batches_of_a_shape(network, prompts):
  _greedy(network, _batch(prompts, [1, 2, 3, 4]))
  before = causal_decoding.greedy._cache_size()
  _greedy(network, _batch(prompts[::-1], [4, 3, 2, 1]), (1, 2))
  assert causal_decoding.greedy._cache_size() == before


def test_a_cache_in_half_precision_changes_nothing_there(prompts):
  config = small.llama(vocab_size=WORDS, dtype="bfloat16", layers=(small.FULL,))
  parameters = networks.init_parameters(config, jax.random.key(1))

  def logits(dtype):
    def run(module):
      _, cache = module.read(tokens[:, :6], valid[:, :6])
      cache = decoder_cache.with_room(cache, 6, dtype=dtype)
      assert cache.layers[0].keys.dtype == dtype
      found, _ = module.extend(
        tokens[:, 6:10], valid[:, 6:10], cache, jnp.array(6)
      )
      return module.head(found)

    return config.module().apply({"params": parameters}, method=run)

  tokens, valid = _batch(prompts, [0, 0, 0, 0])
  rounded, whole = jax.jit(lambda: (logits("bfloat16"), logits("float32")))()
  np.testing.assert_array_equal(rounded, whole)
