# SPDX-License-Identifier: Apache-2.0
"""Greedy facility location over four devices, in a process of their own."""

import pathlib

from tests import devices


def test_four_devices():
  file = pathlib.Path(__file__).with_name("submodular_four_devices.py")
  devices.check(file, count=4)
