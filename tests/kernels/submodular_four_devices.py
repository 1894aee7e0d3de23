# SPDX-License-Identifier: Apache-2.0
"""Run by `submodular_mesh_test` in a process that has four CPU devices."""

import jax
import numpy as np
from jax.sharding import Mesh

from data_efficient.kernels import submodular, submodular_mesh


def test_rows_on_four_devices_give_the_picks_of_one():
  assert len(jax.devices()) == 4
  rng = np.random.default_rng(0)
  what = submodular.problem(
    rng.integers(0, 64, (84, 50)).astype(np.float32) / 64,
    floor=rng.integers(0, 8, 84) / 64,
    cap=rng.integers(32, 64, 84) / 64,
    modular=rng.integers(0, 8, 50) / 64,
  )
  _, expected = submodular.greedy(what, submodular.init(what), count=20)
  mesh = Mesh(np.array(jax.devices()), (submodular_mesh.AXIS,))
  placed = submodular_mesh.placed(mesh, what)
  state, found = submodular_mesh.greedy(mesh, placed, count=20)
  assert len(placed.kernel.sharding.device_set) == 4
  np.testing.assert_array_equal(found.candidates, expected.candidates)
  np.testing.assert_allclose(found.gains, expected.gains, rtol=1e-6)
  assert int(state.taken.sum()) == 20
