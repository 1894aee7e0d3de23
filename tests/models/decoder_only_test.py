# SPDX-License-Identifier: Apache-2.0
"""The language model: who sees whom, and the names of its parameters."""

import dataclasses

import jax
import numpy as np
import pytest

from data_efficient.models import decoder_only, networks, parameter_trees

LENGTH, INPUTS = 8, 4


@pytest.fixture(scope="module")
def network(request):
  from tests.models import conftest

  names = [f.name for f in dataclasses.fields(decoder_only.DecoderOnlyConfig)]
  return decoder_only.DecoderOnlyConfig(
    **{name: getattr(conftest.CONFIG, name) for name in names}
  )


@pytest.fixture(scope="module")
def depends(network):
  """depends(prefix) -> [query, key]: whether the key's token matters."""
  parameters = networks.init_parameters(network, jax.random.key(0))
  forward = jax.jit(
    lambda batch: networks.logits(network, parameters, batch, dropout=None)
  )
  tokens = np.arange(1, LENGTH + 1)
  # Row k differs from row 0 in token k - 1.
  rows = np.tile(tokens, (LENGTH + 1, 1)) + np.eye(LENGTH + 1, LENGTH, -1) * 20

  def table(**features):
    batch = {
      "decoder_input_tokens": rows.astype(int),
      "decoder_target_tokens": np.ones_like(rows, int),
      **{name: np.tile(row, (LENGTH + 1, 1)) for name, row in features.items()},
    }
    logits = np.asarray(forward(batch))
    return (np.abs(logits[1:] - logits[0]).max(axis=-1) > 1e-6).T

  return table


def test_without_inputs_it_is_causal(depends):
  assert np.array_equal(depends(), np.tri(LENGTH, dtype=bool))


def test_inputs_see_one_another(depends):
  inputs = (np.arange(LENGTH) < INPUTS).astype(int)
  expected = np.tri(LENGTH, dtype=bool)
  expected[:INPUTS, :INPUTS] = True
  found = depends(decoder_causal_attention=inputs)
  assert np.array_equal(found, expected)


def test_packed_examples_do_not_see_one_another(depends):
  segments = np.array([1] * 3 + [2] * 5)
  expected = np.tri(LENGTH, dtype=bool)
  expected[3:, :3] = False
  assert np.array_equal(depends(decoder_segment_ids=segments), expected)


def test_the_tree_is_the_decoders_without_cross_attention(network):
  tree = parameter_trees.flatten(networks.parameter_shapes(network))
  assert set(name.split("/")[0] for name in tree) == {"decoder"}
  layer = "decoder/layers_0/"
  assert {n.removeprefix(layer) for n in tree if n.startswith(layer)} == {
    *(f"self_attention/{n}/kernel" for n in ("query", "key", "value", "out")),
    *(f"mlp/{name}/kernel" for name in ("wi_0", "wi_1", "wo")),
    *("pre_self_attention_layer_norm/scale", "pre_mlp_layer_norm/scale"),
  }
  assert tree["decoder/token_embedder/embedding"].shape == (40, 16)
