# SPDX-License-Identifier: Apache-2.0
"""Sketches over four devices, in a process of their own."""

import pathlib

from tests import devices


def test_four_devices():
  devices.check(pathlib.Path(__file__).with_name("four_devices.py"), count=4)
