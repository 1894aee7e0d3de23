# SPDX-License-Identifier: Apache-2.0
"""The tiny run of `fakes`; one compile serves most tests."""

import jax
import pytest

from data_efficient.training.run import Run
from tests.training import fakes


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
  """Runs compile the same few steps: tests of one session share them."""
  names = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
  )
  before = [getattr(jax.config, name) for name in names]
  jax.config.update(names[0], str(tmp_path_factory.mktemp("compiled")))
  jax.config.update(names[1], 0.1)
  yield
  for name, value in zip(names, before, strict=True):
    jax.config.update(name, value)


@pytest.fixture(scope="session")
def run() -> Run:
  return fakes.run()


@pytest.fixture
def run_in(tmp_path):
  """`run_in(name, **changes)`: the run in a directory of its own."""

  def make(name: str, **changes) -> Run:
    return fakes.run(str(tmp_path / name), **changes)

  return make
