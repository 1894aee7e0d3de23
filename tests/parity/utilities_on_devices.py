# SPDX-License-Identifier: Apache-2.0
"""Run by `meshes_test` in a process that has eight CPU devices."""

import functools

import jax
import numpy as np
import pytest

from data_efficient.models import partitioning
from data_efficient.scorers import judges
from tests import networks
from tests.scorers import asked, pairs

# Devices, and how many of them share one copy of the parameters.
MESHES = [(2, 1), (4, 2), (8, 2), (8, 8)]
NETWORKS = {
  "llama": networks.llama(
    vocab_size=64, emb_dim=32, num_heads=16, num_kv_heads=8, mlp_dim=64
  ),
  "t5": networks.t5(vocab_size=64, emb_dim=64, num_heads=8, mlp_dim=128),
  "language model": asked.LANGUAGE_MODEL,
}
TARGETS, EXAMPLES = pairs.instructions(6), pairs.instructions(7, seed=1)


@functools.cache
def _utilities(name: str, devices: int, model_parallel: int) -> np.ndarray:
  made = pairs.judge(NETWORKS[name])
  mesh = partitioning.mesh(
    model_parallel=model_parallel, devices=jax.devices()[:devices]
  )
  placed = jax.device_put(
    made.parameters, partitioning.parameter_shardings(made.network, mesh)
  )
  judge = judges.Judge(made.network, placed, made.name, mesh)
  return pairs.utilities(pairs.scorer(judge), TARGETS, EXAMPLES)


@pytest.mark.parametrize("devices, model_parallel", MESHES)
@pytest.mark.parametrize("name", NETWORKS)
def test_utilities_do_not_move_with_the_devices(name, devices, model_parallel):
  if NETWORKS[name].num_heads % model_parallel:
    model_parallel = NETWORKS[name].num_heads
  alone = _utilities(name, 1, 1)
  assert np.isfinite(alone).all() and np.ptp(alone) > 1e-3
  found = _utilities(name, devices, model_parallel)
  np.testing.assert_allclose(found, alone, atol=1e-5, rtol=0)
