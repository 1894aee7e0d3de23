# SPDX-License-Identifier: Apache-2.0
"""The mesh, and shardings over four devices in a process of their own."""

import pathlib

import jax
import pytest

from data_efficient.models import partitioning
from tests import devices


def test_mesh_of_one_device():
  mesh = partitioning.mesh(model_parallel=1, devices=jax.devices()[:1])
  assert mesh.axis_names == ("data", "model")
  assert dict(mesh.shape) == {"data": 1, "model": 1}


def test_mesh_refuses_devices_that_do_not_divide():
  with pytest.raises(
    partitioning.PartitioningError, match=r"model_parallel = 2: .*\[1\]"
  ):
    partitioning.mesh(model_parallel=2, devices=jax.devices()[:1])


def test_four_devices():
  devices.check(pathlib.Path(__file__).with_name("four_devices.py"), count=4)
