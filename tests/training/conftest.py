# SPDX-License-Identifier: Apache-2.0
"""The tiny run of `fakes`; one compile serves most tests."""

import pytest

from data_efficient.training.run import Run
from tests import compilation
from tests.training import fakes


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
  with compilation.shared(tmp_path_factory.mktemp("compiled")):
    yield


@pytest.fixture(scope="session")
def run() -> Run:
  return fakes.run()


@pytest.fixture
def run_in(tmp_path):
  """`run_in(name, **changes)`: the run in a directory of its own."""

  def make(name: str, **changes) -> Run:
    return fakes.run(str(tmp_path / name), **changes)

  return make
