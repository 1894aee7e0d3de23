# SPDX-License-Identifier: Apache-2.0
"""Before jax is imported: tests run on the CPU, whatever is installed."""

import os
import pathlib

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
  """The repository's root."""
  return ROOT


@pytest.fixture(scope="session")
def shared(root) -> pathlib.Path:
  """Real data beside the checkout; tests of it are skipped without."""
  path = root.parent / "shared"
  if not (path / "data").is_dir():
    pytest.skip(f"no real data: {path} is not there")
  return path


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
  """One finished quickstart of test size, for all tests; do not change it."""
  from tests import quickstarts

  return quickstarts.run_all(tmp_path_factory.mktemp("quickstart"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """With several processes: tests of a file, or of `experiment`, in one."""
  for item in items:
    shares = "experiment" in getattr(item, "fixturenames", ())
    group = "experiment" if shares else str(item.path)
    item.add_marker(pytest.mark.xdist_group(group))
