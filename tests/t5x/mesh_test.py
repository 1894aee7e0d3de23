# SPDX-License-Identifier: Apache-2.0
"""T5X on a mesh of 2 × 2 devices: in a process of its own, which has four."""

import dataclasses
import os
import subprocess
import sys

import jax
import pytest

from data_efficient.training import inference
from tests.t5x.tiny import losses


def test_two_by_two_devices_agree_with_one(root, tmp_path, by_t5x):
  flag = "--xla_force_host_platform_device_count=4"
  environment = {
    **os.environ,
    "XLA_FLAGS": flag,
    "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
  }
  checkpoint = f"{by_t5x.directory}/checkpoints/checkpoint_20"
  done = subprocess.run(
    [sys.executable, "-m", "tests.t5x.four_devices", str(tmp_path), checkpoint],
    cwd=root,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert len(jax.devices()) == 1
  run = dataclasses.replace(by_t5x, directory=str(tmp_path / "run"))
  one = losses(by_t5x)
  assert losses(run) == pytest.approx(
    {step: one[step] for step in (1, 2, 3)}, rel=1e-5
  )
  rows = inference.read(str(tmp_path / "scores"))
  tokens = sum(len(row["targets"]) + 1 for row in rows)
  loss = -sum(row["score"] for row in rows) / tokens
  assert loss == pytest.approx(losses(by_t5x, "hq")[20], rel=1e-5)
