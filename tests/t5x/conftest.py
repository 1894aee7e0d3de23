# SPDX-License-Identifier: Apache-2.0
"""These tests need T5X; without it they are skipped and say so."""

import pytest

from data_efficient.training import t5x


@pytest.fixture(scope="session", autouse=True)
def installed():
  try:
    t5x._module("train")
  except t5x.T5XError as error:
    pytest.skip(f"T5X is not installed: {error}")
