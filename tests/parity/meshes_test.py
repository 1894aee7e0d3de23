# SPDX-License-Identifier: Apache-2.0
"""Meshes of eight devices against one."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
  "file",
  [
    *("eight_devices", "judges_on_devices", "utilities_on_devices"),
    "less_on_devices",
  ],
)
def test_eight_devices(file):
  # The number of CPU devices is fixed when a process first uses one. Without
  # LLVM's optimisations the four meshes compile in half the time.
  flags = (
    "--xla_force_host_platform_device_count=8"
    " --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true"
  )
  path = pathlib.Path(__file__).with_name(f"{file}.py")
  done = subprocess.run(
    [sys.executable, "-m", "pytest", str(path)],
    env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout
