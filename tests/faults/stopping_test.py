# SPDX-License-Identifier: Apache-2.0
"""A run that is told to stop goes on."""

import json
import signal

import jax
import numpy as np
import pytest

from data_efficient.models import checkpoints, networks
from data_efficient.training import metrics
from tests.training import fakes, slow_runs


@pytest.mark.parametrize("trained", ["parameters", "adapter"])
def test_a_terminated_run_goes_on_to_the_same_bytes(
  trained, tmp_path_factory, tmp_path
):
  base = None
  if trained == "adapter":
    base = str(tmp_path_factory.mktemp("base") / "checkpoint")
    checkpoints.save_parameters(
      base, networks.init_parameters(fakes.CONFIG, jax.random.key(7))
    )
  whole = slow_runs.whole(tmp_path_factory.mktemp("whole"), base)
  directory = str(tmp_path)
  process = slow_runs.start(directory, seconds=0.2, base=base)
  slow_runs.wait_for_step(directory, 7, process)
  process.send_signal(signal.SIGTERM)
  slow_runs.finish(process, code=143)
  stopped = checkpoints.latest_step(tmp_path / "checkpoints")
  assert 7 <= stopped < 20 and slow_runs.rows(directory)[-1]["step"] == stopped
  spent = json.loads((tmp_path / "cost.json").read_text())["seconds"]
  assert spent > 7 * 0.2
  before = metrics.read(directory)

  slow_runs.finish(slow_runs.start(directory, base=base))
  assert slow_runs.rows(directory) == slow_runs.rows(whole)
  for ours, theirs in zip(
    slow_runs.parameters(directory), slow_runs.parameters(whole), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)
  assert json.loads((tmp_path / "cost.json").read_text())["seconds"] > spent
  # Seconds go on where they were; each start says what it compiled for.
  after = metrics.read(directory)
  assert after[: len(before)] == before
  compiled = [row["step"] for row in after if "compile_seconds" in row]
  assert compiled == [1, stopped + 1]
