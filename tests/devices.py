# SPDX-License-Identifier: Apache-2.0
"""Tests that need several devices, in a process of their own."""

import os
import pathlib
import subprocess
import sys


def check(file: pathlib.Path, *, count: int, flags: str = "") -> None:
  """Runs the tests of a file with some CPU devices; fails if one of them does.

  The number of CPU devices is fixed when a process first uses one.

  Args:
    file: that pytest does not collect by itself.
    count: of devices.
    flags: more of XLA's.
  """
  flags = f"--xla_force_host_platform_device_count={count} {flags}"
  done = subprocess.run(
    [sys.executable, "-m", "pytest", str(file)],
    env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr
