# SPDX-License-Identifier: Apache-2.0
"""Meshes of eight devices against one."""

import pathlib

import pytest

from tests import devices


@pytest.mark.parametrize(
  "file",
  [
    *("eight_devices", "judges_on_devices", "utilities_on_devices"),
    "less_on_devices",
  ],
)
def test_eight_devices(file):
  # Without LLVM's optimisations the four meshes compile in half the time.
  devices.check(
    pathlib.Path(__file__).with_name(f"{file}.py"),
    count=8,
    flags=(
      "--xla_backend_optimization_level=0"
      " --xla_llvm_disable_expensive_passes=true"
    ),
  )
