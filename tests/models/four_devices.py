# SPDX-License-Identifier: Apache-2.0
"""Run by `partitioning_test` in a process that has four CPU devices."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from data_efficient.models import encoder_decoder, partitioning
from tests.models import encoders


@pytest.fixture
def mesh():
  return partitioning.mesh(model_parallel=2)


def test_mesh_shape(mesh):
  assert dict(mesh.shape) == {"data": 2, "model": 2}
  first = [device.id for device in mesh.devices[0]]
  assert first == [0, 1]  # neighbours share a copy of the parameters


def test_parameters_lie_as_the_rules_say(config, mesh):
  shardings = partitioning.parameter_shardings(config, mesh)
  layer = shardings["decoder"]["layers_0"]
  for sharding, spec in (
    (shardings["token_embedder"]["embedding"], ("model", None)),
    (shardings["decoder"]["logits_dense"]["kernel"], (None, "model")),
    (layer["mlp"]["wo"]["kernel"], ("model", None)),
    (layer["self_attention"]["query"]["kernel"], (None, "model")),
    (layer["pre_mlp_layer_norm"]["scale"], (None,)),
  ):
    assert sharding.spec == PartitionSpec(*spec) and sharding.mesh == mesh


def test_an_axis_that_does_not_divide_is_named(config, mesh):
  odd = dataclasses.replace(config, vocab_size=41)
  with pytest.raises(
    partitioning.PartitioningError,
    match="logits_dense/kernel: axis 'vocab' of size 41 .* 2 devices",
  ):
    partitioning.parameter_shardings(odd, mesh)


def test_sharded_logits_equal_whole_ones(
  config, parameters, example, forward, mesh
):
  batch = (example.source, example.inputs, example.targets)
  shardings = partitioning.parameter_shardings(config, mesh)
  placed = jax.device_put(parameters, shardings)
  rows = jax.device_put(batch, partitioning.batch_sharding(mesh))

  @jax.jit
  def step(parameters, source, inputs, targets):
    return encoder_decoder.Transformer(config).apply(
      {"params": parameters}, source, inputs, targets
    )

  with partitioning.activate(mesh):
    logits = step(placed, *rows)
  assert logits.sharding.spec == PartitionSpec("data", None, "model")
  np.testing.assert_allclose(logits, forward(parameters, *batch), atol=1e-5)


@pytest.mark.parametrize("network", [encoders.BERT, encoders.SENTENCE_T5])
def test_sharded_vectors_equal_whole_ones(network, mesh):
  parameters = encoders.parameters(network)
  tokens = np.random.default_rng(0).integers(1, 40, (4, 12))
  tokens[1, 5:] = 0
  embed = jax.jit(network.module().apply)
  whole = embed({"params": parameters}, tokens)
  placed = jax.device_put(
    parameters, partitioning.parameter_shardings(network, mesh)
  )
  rows = jax.device_put(tokens, partitioning.batch_sharding(mesh))
  with partitioning.activate(mesh):
    found = embed({"params": placed}, rows)
  np.testing.assert_allclose(found, whole, atol=1e-5)
