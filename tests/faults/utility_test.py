# SPDX-License-Identifier: Apache-2.0
"""One and two processes compute one utility kernel, are killed, and go on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest

from data_efficient.data import journals
from data_efficient.data.utility_kernels import UtilityKernel
from tests import decoders

RECORDS, BLOCK = 12, (6, 2)
BLOCKS = (RECORDS // BLOCK[0]) * (RECORDS // BLOCK[1])
# Both axes, and the distances without examples.
BESIDE = 3


@pytest.fixture(scope="module")
def words(tmp_path_factory):
  """The words of a command: a pool and a model."""
  directory = tmp_path_factory.mktemp("inputs")
  rows = [
    {
      "instruction": f"Add {number} and 2." * (number % 3),
      "output": "x" * number,
    }
    for number in range(RECORDS)
  ]
  lines = "".join(json.dumps(row) + "\n" for row in rows)
  (directory / "pool.jsonl").write_text(lines)
  decoders.save(directory / "judge")
  bindings = {
    "POOL": f"{directory}/pool.jsonl",
    "JUDGE_CHECKPOINT": f"{directory}/judge",
    "BLOCK": BLOCK,
    "MAX_TOKENS": 320,
    "MAX_EXAMPLE_TOKENS": 160,
    "BATCH_TOKENS": 384,
  }
  return [f"--gin.{name}={value!r}" for name, value in bindings.items()]


def _start(root, words, output, count, seconds=0.0):
  with socket.socket() as found:
    found.bind(("localhost", 0))
    port = found.getsockname()[1]
  processes = []
  for index in range(count):
    environment = os.environ | {
      **{"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
      "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    if count > 1:
      value = f"{index}/{count}@localhost:{port}"
      environment["DATA_EFFICIENT_PROCESSES"] = value
    module = ["-m", "tests.faults.utility_slowly", str(seconds)]
    processes.append(
      subprocess.Popen(
        [
          *(sys.executable, *module, "utility", *words),
          f"--gin.OUTPUT={str(output)!r}",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
      )
    )
  return processes


def _finish(processes):
  for process in processes:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output


def _kill_midway(processes, output):
  """Kills all of them when two blocks are there; how many parts are."""
  while len(journals.read(output)) < BESIDE + 2:
    for process in processes:
      assert process.poll() is None, process.communicate()[0]
    time.sleep(0.02)
  for process in processes:
    process.send_signal(signal.SIGKILL)
  for process in processes:
    process.wait()
  return len(journals.read(output))


def _bytes(directory):
  """Everything in it but what says how long it took."""
  return {
    path.name: path.read_bytes()
    for path in directory.iterdir()
    if path.name not in ("cost.json", ".lock")
  }


@pytest.fixture(scope="module")
def alone(root, words, tmp_path_factory):
  """What one process leaves, that nobody stops."""
  directory = tmp_path_factory.mktemp("alone") / "kernel"
  _finish(_start(root, words, directory, 1))
  # The first record has no answer.
  expected = (RECORDS - 1) ** 2 - (RECORDS - 1)
  assert UtilityKernel.open(directory).scored == expected
  return _bytes(directory)


def test_two_processes_write_what_one_does(root, words, alone, tmp_path):
  _finish(_start(root, words, tmp_path / "kernel", 2))
  assert _bytes(tmp_path / "kernel") == alone


@pytest.mark.parametrize("before, after", [(1, 2), (2, 1)])
def test_what_some_began_others_finish(
  root, words, alone, tmp_path, before, after
):
  output = tmp_path / "kernel"
  # Killed while they read the next examples, inside a block.
  done = _kill_midway(_start(root, words, output, before, 0.6), output)
  assert BESIDE + 2 <= done < BESIDE + BLOCKS
  _finish(_start(root, words, output, after))
  assert _bytes(output) == alone
