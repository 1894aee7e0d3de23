# SPDX-License-Identifier: Apache-2.0
"""Two processes that train one run are told to stop, and go on."""

import signal
import socket

import numpy as np
import pytest

from data_efficient.models import checkpoints
from tests.training import slow_runs


def test_two_processes_train_stop_and_go_on_as_one_does(
  tmp_path_factory, tmp_path
):
  """A mesh of 2 × 2 devices; each process has two of them."""
  whole = slow_runs.whole(tmp_path_factory.mktemp("whole"))

  def pair(seconds):
    with socket.socket() as found:
      found.bind(("localhost", 0))
      port = found.getsockname()[1]
    return [
      slow_runs.start(
        str(tmp_path),
        model_parallel=2,
        seconds=seconds,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
        DATA_EFFICIENT_PROCESSES=f"{index}/2@localhost:{port}",
      )
      for index in range(2)
    ]

  first, second = pair(0.5)
  slow_runs.wait_for_step(tmp_path, 5, first)
  second.send_signal(signal.SIGTERM)
  for process in (first, second):
    slow_runs.finish(process, code=143)
  assert 5 < checkpoints.latest_step(tmp_path / "checkpoints") < 20
  first, second = pair(0.0)
  # Only one process logs and keeps the record.
  assert "20 steps" in slow_runs.finish(first)
  assert "20 steps" not in slow_runs.finish(second)

  for ours, theirs in zip(
    slow_runs.rows(tmp_path), slow_runs.rows(whole), strict=True
  ):
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"evaluation"}:
      assert ours[name] == pytest.approx(theirs[name], rel=1e-5), name
  for ours, theirs in zip(
    slow_runs.parameters(tmp_path), slow_runs.parameters(whole), strict=True
  ):
    assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
