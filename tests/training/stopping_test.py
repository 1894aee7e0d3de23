# SPDX-License-Identifier: Apache-2.0
"""Runs that are told to stop, and go on; on one process and on two."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from data_efficient.models import checkpoints
from data_efficient.training import local, metrics
from tests.training import fakes, train_slowly

SCRIPT = pathlib.Path(train_slowly.__file__)
ENGINE = local.Local(model_parallel=1, microbatches=1, log_period=1)


def _start(directory, *, model_parallel=1, seconds=0.0, **environment):
  root = SCRIPT.parents[2]
  return subprocess.Popen(
    [sys.executable, SCRIPT, directory, str(model_parallel), str(seconds)],
    env=os.environ
    | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def _finish(process, code=0) -> str:
  output, _ = process.communicate(timeout=180)
  assert process.returncode == code, output
  return output


def _wait_for_step(directory, step: int, process) -> None:
  while not any(row["step"] >= step for row in metrics.read(directory)):
    assert process.poll() is None, process.communicate()[0]
    time.sleep(0.02)


def _rows(directory):
  timing = ("seconds", "compile_seconds")
  return [
    {name: value for name, value in row.items() if name not in timing}
    for row in metrics.read(directory)
  ]


def _parameters(directory):
  return jax.tree.leaves(
    checkpoints.load_parameters(directory, config=fakes.CONFIG)
  )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """Twenty steps without a pause."""
  directory = str(tmp_path_factory.mktemp("whole"))
  ENGINE.train(train_slowly.run(directory))
  return directory


def test_a_terminated_run_goes_on_to_the_same_bytes(whole, tmp_path):
  directory = str(tmp_path)
  process = _start(directory, seconds=0.2)
  _wait_for_step(directory, 7, process)
  process.send_signal(signal.SIGTERM)
  _finish(process, code=143)
  stopped = checkpoints.latest_step(tmp_path / "checkpoints")
  assert 7 <= stopped < 20 and _rows(directory)[-1]["step"] == stopped
  spent = json.loads((tmp_path / "cost.json").read_text())["seconds"]
  assert spent > 7 * 0.2
  before = metrics.read(directory)

  _finish(_start(directory))
  assert _rows(directory) == _rows(whole)
  for ours, theirs in zip(
    _parameters(directory), _parameters(whole), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)
  assert json.loads((tmp_path / "cost.json").read_text())["seconds"] > spent
  # Seconds go on where they were; each start says what it compiled for.
  after = metrics.read(directory)
  assert after[: len(before)] == before
  compiled = [row["step"] for row in after if "compile_seconds" in row]
  assert compiled == [1, stopped + 1]


def test_two_processes_train_stop_and_go_on_as_one_does(whole, tmp_path):
  """A mesh of 2 × 2 devices; each process has two of them."""

  def pair(seconds):
    with socket.socket() as found:
      found.bind(("localhost", 0))
      port = found.getsockname()[1]
    return [
      _start(
        str(tmp_path),
        model_parallel=2,
        seconds=seconds,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        DATA_EFFICIENT_PROCESSES=f"{index}/2@localhost:{port}",
      )
      for index in range(2)
    ]

  first, second = pair(0.5)
  _wait_for_step(tmp_path, 5, first)
  second.send_signal(signal.SIGTERM)
  for process in (first, second):
    _finish(process, code=143)
  assert 5 < checkpoints.latest_step(tmp_path / "checkpoints") < 20
  first, second = pair(0.0)
  # Only one process logs and keeps the record.
  assert "20 steps" in _finish(first)
  assert "20 steps" not in _finish(second)

  for ours, theirs in zip(_rows(tmp_path), _rows(whole), strict=True):
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"evaluation"}:
      assert ours[name] == pytest.approx(theirs[name], rel=1e-5), name
  for ours, theirs in zip(
    _parameters(tmp_path), _parameters(whole), strict=True
  ):
    assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
