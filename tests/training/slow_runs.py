# SPDX-License-Identifier: Apache-2.0
"""Runs in processes of their own, slow enough to be stopped."""

import os
import pathlib
import subprocess
import sys
import time

import jax

from data_efficient.models import checkpoints
from data_efficient.training import local, metrics
from tests.training import fakes, train_slowly

SCRIPT = pathlib.Path(train_slowly.__file__)
ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)


def start(
  directory, *, model_parallel=1, seconds=0.0, base=None, **environment
):
  root = SCRIPT.parents[2]
  arguments = [directory, str(model_parallel), str(seconds)]
  return subprocess.Popen(
    [sys.executable, SCRIPT, *arguments, *([base] if base else [])],
    env=os.environ
    | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(process, code=0) -> str:
  output, _ = process.communicate(timeout=180)
  assert process.returncode == code, output
  return output


def wait_for_step(directory, step: int, process) -> None:
  while not any(row["step"] >= step for row in metrics.read(directory)):
    assert process.poll() is None, process.communicate()[0]
    time.sleep(0.02)


def rows(directory):
  timing = ("seconds", "compile_seconds")
  return [
    {name: value for name, value in row.items() if name not in timing}
    for row in metrics.read(directory)
  ]


def parameters(directory):
  return jax.tree.leaves(
    checkpoints.load_parameters(directory, config=fakes.CONFIG)
  )


def whole(directory, base=None):
  """Twenty steps without a pause, in this process."""
  ENGINE.train(train_slowly.run(str(directory), base))
  return str(directory)
