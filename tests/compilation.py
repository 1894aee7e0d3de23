# SPDX-License-Identifier: Apache-2.0
"""Tests of one session compile the same few steps: once is enough."""

import contextlib

import jax


@contextlib.contextmanager
def shared(directory):
  """JAX's persistent cache, in a directory, for all but short compiles."""
  settings = {
    "jax_compilation_cache_dir": str(directory),
    "jax_persistent_cache_min_compile_time_secs": 0.1,
  }
  before = {name: getattr(jax.config, name) for name in settings}
  for name, value in settings.items():
    jax.config.update(name, value)
  yield
  for name, value in before.items():
    jax.config.update(name, value)
