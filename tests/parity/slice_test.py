# SPDX-License-Identifier: Apache-2.0
"""launch.tpu_vm with real verbs: two workers that find each other.

A `gcloud` of our own starts both workers' commands here, in the environment of
a cluster that JAX knows (Slurm's): `auto` joins them as it does on a slice.
"""

import json
import pathlib
import socket
import stat
import sys

import numpy as np

from data_efficient.data import score_sets
from launch import slices, tpu_vm
from tests import conftest, quickstarts

_GCLOUD = """#!{python}
import os, pathlib, subprocess, sys
flags = dict(w[2:].partition("=")[::2] for w in sys.argv[1:] if w[:2] == "--")
state = pathlib.Path({place!r}, "state")
verb = sys.argv[4]
if verb == "describe":
  if not state.exists():
    sys.exit("NOT_FOUND")
  print("ACTIVE")
elif verb == "create":
  state.touch()
elif verb == "delete":
  state.unlink()
else:
  count = 2 if flags["worker"] == "all" else 1
  verb = flags["command"].partition("data_efficient ")[2].split()[0]
  with pathlib.Path({place!r}, "workers").open("a") as told:
    print(verb, count, file=told)
  cluster = {{"SLURM_JOB_ID": {number!r}, "SLURM_NTASKS": str(count),
              "SLURM_STEP_NODELIST": "localhost", "SLURM_LOCALID": "0"}}
  running = [
    subprocess.Popen(["sh", "-c", flags["command"]],
                     env=os.environ | cluster | {{"SLURM_PROCID": str(number)}})
    for number in range(count)
  ]
  sys.exit(max(process.wait() for process in running))
"""
_CONFIG = """
from configs import smoke

def jobs(*, output, corpus):
  names = ("token_counts", "select_full-1-0", "train_full-1-0")
  found = smoke.jobs(output=output, corpus=corpus)
  return [job for job in found if job.name in names]
"""


def _job_number() -> str:
  """A number of a job for which JAX takes a port that is free."""
  first = 65535 - 2**12 + 1
  for port in range(first, 65536):
    with socket.socket() as tried:
      if tried.connect_ex(("localhost", port)):
        return str(port - first)
  raise AssertionError("no free port")


def test_two_workers_score_and_train_as_one(tmp_path, monkeypatch):
  gcloud = tmp_path / "bin/gcloud"
  gcloud.parent.mkdir()
  gcloud.write_text(
    _GCLOUD.format(
      python=sys.executable, place=str(tmp_path), number=_job_number()
    )
  )
  gcloud.chmod(gcloud.stat().st_mode | stat.S_IXUSR)
  monkeypatch.setenv("PATH", str(gcloud.parent), prepend=":")
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  monkeypatch.setattr(slices, "_POLL_SECONDS", 0.1)
  monkeypatch.chdir(tmp_path)
  pathlib.Path("config.py").write_text(_CONFIG)
  corpus = quickstarts.write_corpus(tmp_path / "files")
  words = [f"--corpus={corpus}", f"--output={tmp_path / 'far'}"]
  words += [f"--directory={conftest.ROOT}", f"--python={sys.executable}"]
  assert tpu_vm.main(["config.py", *words]) == 0

  workers = (tmp_path / "workers").read_text().split("\n")
  assert workers == ["score 2", "select 1", "train 2", ""]
  counts = score_sets.ScoreSet.open(tmp_path / "far/scores/token_counts")
  scores = np.concatenate(list(counts.read(["score"])["score"].values()))
  # 60 passages each in three files, less 62 repeated notices.
  assert len(scores) == 180 and np.isfinite(scores).sum() == 118
  run = json.loads((tmp_path / "far/runs/full-1-0/run.json").read_text())
  assert run["complete"] and run["steps"] == 4
  logs = tmp_path / "out/launch/data-efficient/config/logs"
  # Each was told by both workers, and recorded by one.
  for name, word in (("train_full-1-0", "4 steps"), ("token_counts", "scored")):
    assert (logs / f"{name}.log").read_text().count(word) == 1
