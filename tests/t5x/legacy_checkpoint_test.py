# SPDX-License-Identifier: Apache-2.0
"""What T5X's own writer before Orbax leaves is read tensor by tensor."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_efficient.models import checkpoints, networks
from data_efficient.training import t5x_import
from tests.t5x.tiny import NETWORK


@pytest.fixture(scope="module")
def variables():
  module = NETWORK.module()
  token = jnp.ones((1, 1), jnp.int32)
  init = functools.partial(
    module.init, **{name: token for name in NETWORK.required}
  )
  return jax.jit(init)(jax.random.key(0))


def _write(variables, directory, save_dtype):
  modules = ("checkpoints", "partitioning", "train_state")
  writer, partitioning, states = map(t5x_import.module, modules)
  state = states.InferenceState.create(variables)
  writer.Checkpointer(
    state,
    partitioning.PjitPartitioner(num_partitions=1),
    str(directory),
    save_dtype=save_dtype,
  ).save(state)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_parameters_are_those_that_t5x_saved(dtype, variables, tmp_path):
  _write(variables, tmp_path, dtype)
  assert (tmp_path / "checkpoint_0" / "checkpoint").is_file()
  folder = "target.encoder.layers_1.mlp.wi_0.kernel"
  assert (tmp_path / "checkpoint_0" / folder).is_dir()
  found = checkpoints.load_parameters(tmp_path, config=NETWORK)
  saved = variables["params"]
  assert jax.tree.structure(found) == jax.tree.structure(saved)
  for ours, theirs in zip(
    jax.tree.leaves(found), jax.tree.leaves(saved), strict=True
  ):
    np.testing.assert_array_equal(ours, jnp.float32(theirs.astype(dtype)))
  assert networks.parameter_count(NETWORK) > 10_000
