# SPDX-License-Identifier: Apache-2.0
"""Ahead-of-time compilation for TPUs on a machine that has none.

`make tpu` runs these tests. libtpu compiles for a described topology and says
how much memory a chip needs; nothing is run. It holds a lock file, so one
process at a time.
"""

import os

# Before JAX looks for a backend: where libtpu is, it would be that one.
os.environ["JAX_PLATFORMS"] = "cpu"

import importlib.util  # noqa: E402
import time  # noqa: E402

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from jax.sharding import Mesh  # noqa: E402

from data_efficient.models import topologies  # noqa: E402
from tests.tpu import harness  # noqa: E402

MEMORY_OF_A_CHIP = harness.MEMORY["v5e"]


def _slice(chip: str) -> np.ndarray:
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip("libtpu is not installed; `make tpu` installs it")
  return topologies.slice_of(chip)


@pytest.fixture(scope="session")
def tpu_slice():
  """devices(chip): the 16 chips of a slice of "v5e", "v5p" or "v6e"."""
  return _slice


@pytest.fixture(scope="session")
def tpu_devices() -> np.ndarray:
  """The 16 chips of a v5e slice that is not there."""
  return _slice("v5e")


@pytest.fixture(scope="session")
def chip(tpu_devices) -> Mesh:
  """One chip."""
  return Mesh(tpu_devices[:1], ("data",))


@pytest.fixture(scope="session")
def slice_of_chips(tpu_devices) -> Mesh:
  """All chips along one axis, "data"."""
  return Mesh(tpu_devices, ("data",))


@pytest.fixture
def compile_for_tpu(request):
  """compile(function, *structs, limit=…, options=…) -> compiled, in memory.

  `function` is jitted unless it already is; `limit` is in bytes a chip;
  `options` are the compiler's. The peak, the operations and the seconds of the
  compiler are printed.
  """

  def compile_it(function, *structs, limit=MEMORY_OF_A_CHIP, options=None):
    jitted = function if hasattr(function, "lower") else jax.jit(function)
    lowered = jitted.lower(*structs)
    start = time.perf_counter()
    compiled = lowered.compile(compiler_options=options)
    seconds = time.perf_counter() - start
    peak = harness.peak_bytes(compiled)
    print(
      f"\n{request.node.name}: {peak / 2**20:,.0f} MiB a chip, "
      f"limit {limit / 2**20:,.0f} MiB; {harness.flops(compiled)}; "
      f"compiled in {seconds:.0f} s",
      end="",
    )
    assert peak <= limit
    return compiled

  yield compile_it
  jax.clear_caches()  # gigabytes after some of them
