# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location over four devices, in a process of their own."""

import os
import pathlib
import subprocess
import sys


def test_four_devices():
  # The number of CPU devices is fixed when a process first uses one.
  file = pathlib.Path(__file__).with_name("submodular_four_devices.py")
  flags = "--xla_force_host_platform_device_count=4"
  done = subprocess.run(
    [sys.executable, "-m", "pytest", str(file)],
    env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout
