# SPDX-License-Identifier: Apache-2.0
"""Before jax is imported: tests run on the CPU, whatever is installed."""

import fcntl
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
  """One finished quickstart of test size, for all tests; do not change it.

  Of several test processes the first that asks makes it for all.
  """
  from tests import quickstarts

  if "PYTEST_XDIST_WORKER" not in os.environ:
    return quickstarts.run_all(tmp_path_factory.mktemp("quickstart"))
  root = tmp_path_factory.getbasetemp().parent / "quickstart"
  finished = root / "finished"
  with open(f"{root}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not finished.exists():
      root.mkdir()
      quickstarts.run_all(root)
      finished.touch()
  return quickstarts.planned(root)
