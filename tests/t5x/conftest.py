# SPDX-License-Identifier: Apache-2.0
"""These tests need T5X; without it they are skipped and say so.

The runs that several tests look at are trained once.
"""

import dataclasses

import pytest

from data_efficient.training import local, t5x, t5x_import
from tests import compilation
from tests.t5x import tiny


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory):
  try:
    t5x_import.module("train")
  except t5x_import.T5XError as error:
    pytest.skip(f"T5X is not installed: {error}")
  with compilation.shared(tmp_path_factory.mktemp("compiled")):
    yield


@pytest.fixture(scope="session")
def engines():
  return {
    "local": local.Local(model_parallel=1, microbatches=1, log_period=1),
    "t5x": t5x.T5X(model_parallel=1, log_period=1),
  }


@pytest.fixture(scope="session")
def run_in(installed, tmp_path_factory):
  """`run_in(name, **changes)`: the run in a directory of its own."""
  run = tiny.run(tiny.register_all())

  def make(name: str, **changes):
    directory = tmp_path_factory.mktemp(name) / "run"
    return dataclasses.replace(run, directory=str(directory), **changes)

  return make


@pytest.fixture(scope="session")
def by_t5x(run_in, engines):
  """20 steps by T5X, from its own initial parameters; do not change it."""
  run = run_in("by_t5x")
  engines["t5x"].train(run)
  return run


@pytest.fixture(scope="session")
def by_local(run_in, engines, by_t5x):
  """The same 20 steps by the local engine; do not change it."""
  first = f"{by_t5x.directory}/checkpoints/checkpoint_0"
  run = run_in("by_local", initial_checkpoint=first)
  engines["local"].train(run)
  return run
