# SPDX-License-Identifier: Apache-2.0
"""A slice's jobs. A `gcloud` of our own stands for the cloud, and runs here,
once a worker, what it is asked to run there."""

import json
import os
import pathlib
import stat
import subprocess
import sys
import time

import pytest

from data_efficient.cli import jobs
from launch import slices, tpu_vm
from tests import conftest

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/launch/tpu_vm.txt"
# Keeps one slice's state in a file, and does what `fault` says.
_GCLOUD = """#!{python} -IS
import json, os, pathlib, subprocess, sys
place = pathlib.Path({place!r})
words = [word for word in sys.argv[1:] if not word.startswith("--")]
flags = dict(w[2:].partition("=")[::2] for w in sys.argv[1:] if w[:2] == "--")
verb, name = words[3], words[4]
assert words[:3] in (["compute", "tpus", "queued-resources"],
                     ["compute", "tpus", "tpu-vm"])
assert name == "s" and flags["zone"] == "z"
with (place / "calls").open("a") as calls:
  calls.write(json.dumps([verb, flags]) + "\\n")
state, fault = place / "state", {fault!r}

def once():
  if (place / "once").exists():
    return False
  (place / "once").touch()
  return True

if verb == "describe":
  if not state.exists():
    sys.exit("NOT_FOUND: Resource s was not found")
  print(state.read_text())
elif verb == "create":
  assert flags["node-id"] == "s" and not state.exists()
  if fault == "refused" or fault == "refused once" and once():
    sys.exit("RESOURCE_EXHAUSTED: no quota for " + flags["accelerator-type"])
  state.write_text("WAITING_FOR_RESOURCES" if fault == "full" else "ACTIVE")
  if fault == "failed":
    state.write_text("FAILED")
elif verb == "delete":
  assert "force" in flags and "quiet" in flags
  state.unlink()
elif verb == "ssh":
  assert state.read_text() == "ACTIVE"
  command = flags["command"]
  if fault == "silent" and "first" in command:
    sys.exit(255)
  if fault == "silent once" and "first" in command and once():
    sys.exit(255)
  if fault == "preempted" and once():
    state.write_text("SUSPENDED")
    sys.exit(255)
  for worker in range(2 if flags["worker"] == "all" else 1):
    environment = os.environ | {{"WORKER": str(worker)}}
    code = subprocess.call(["sh", "-c", command], env=environment)
    if code:
      sys.exit(code)
"""
# Stands for the verb: says who it is and what it was told, in a file.
_PYTHON = """#!{python} -IS
import json, os, sys
row = {{"worker": os.environ["WORKER"], "words": sys.argv[1:],
        "processes": os.environ.get("DATA_EFFICIENT_PROCESSES"),
        "platform": os.environ.get("JAX_PLATFORMS"), "where": os.getcwd()}}
with open({rows!r}, "a") as rows:
  rows.write(json.dumps(row) + "\\n")
print("ran", sys.argv[3])
sys.exit(int(os.environ.get("CODE", 0)) if "third" in str(sys.argv) else 0)
"""
_CONFIG = """
from data_efficient.cli.jobs import Job

def jobs():
  made = (("first", "train", ()), ("second", "report", ("first",)),
          ("third", "score", ()))
  return [Job(name=name, verb=verb, gin_files=(), needs=needs,
              bindings={"OUTPUT": name, "NOTE": "it's  \\"$HOME\\" *"})
          for name, verb, needs in made]
"""


class _Cloud:
  def __init__(self, place: pathlib.Path):
    self.place = place
    self.log = place / "out/launch/s/config/logs"

  def _rows(self, name: str) -> list:
    path = self.place / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]

  def calls(self, verb: str) -> list[dict]:
    return [flags for found, flags in self._rows("calls") if found == verb]

  def ran(self) -> list[dict]:
    return self._rows("rows")

  def launch(self, *words: str) -> int:
    argv = ["config.py", "--slice=s", "--zone=z", "--python=bin/python", *words]
    return tpu_vm.main([*argv, f"--directory={self.place}"])


def _write(path: pathlib.Path, text: str) -> None:
  path.write_text(text)
  path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  def make(fault: str = "") -> _Cloud:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    values = {"python": sys.executable, "place": str(tmp_path), "fault": fault}
    _write(binaries / "gcloud", _GCLOUD.format(**values))
    rows = str(tmp_path / "rows")
    _write(
      binaries / "python", _PYTHON.format(python=sys.executable, rows=rows)
    )
    (tmp_path / "config.py").write_text(_CONFIG)
    monkeypatch.setenv("PATH", str(binaries), prepend=os.pathsep)
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(slices, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.02)
    monkeypatch.chdir(tmp_path)
    return _Cloud(tmp_path)

  return make


def test_every_worker_runs_what_can_be_shared_and_one_the_rest(cloud):
  found = cloud()
  assert found.launch() == 0
  ran = [(row["words"][2], row["worker"]) for row in found.ran()]
  assert ran == [
    *[("train", "0"), ("train", "1")],
    *[("report", "0"), ("score", "0"), ("score", "1")],
  ]
  for row in found.ran():
    shares = row["words"][2] != "report"
    assert row["processes"] == ("auto" if shares else None)
    assert row["platform"] == (None if shares else "cpu")
    assert row["where"] == str(found.place)
    # Quotes, blanks, $ and * arrive as they were.
    assert row["words"][-1] == "--gin.NOTE=" + repr('it\'s  "$HOME" *')
  assert "ran train\nran train\n" in (found.log / "first.log").read_text()
  assert len(found.calls("delete")) == 1
  assert not (found.place / "state").exists()


def test_what_is_done_is_skipped_and_then_no_slice_is_asked_for(cloud):
  found = cloud()
  assert found.launch() == 0
  before = len(found.calls("ssh")), len(found.calls("create"))
  assert found.launch() == 0
  assert (len(found.calls("ssh")), len(found.calls("create"))) == before


def test_a_slice_may_be_kept(cloud):
  found = cloud()
  assert found.launch("--keep") == 0
  assert not found.calls("delete") and (found.place / "state").exists()


def test_a_preempted_slice_is_made_and_set_up_anew(cloud):
  found = cloud("preempted")
  assert found.launch("--setup=echo set up $WORKER", "--spot") == 0
  assert len(found.calls("create")) == 2 and len(found.calls("delete")) == 2
  assert all("spot" in flags for flags in found.calls("create"))
  log = (found.log / "first.log").read_text()
  # Preempted while it was set up for the first time: then once more.
  assert log.count("set up 0") == log.count("set up 1") == 1
  assert len(found.ran()) == 5


def test_a_job_goes_on_where_its_slice_was_preempted(cloud, capsys):
  found = cloud("preempted")
  assert found.launch() == 0
  assert len(found.calls("create")) == 2
  log = (found.log / "first.log").read_text()
  assert "the slice was preempted; the job goes on" in log
  # Preemptions are no failures of the job's.
  assert "again (2 of 3)" not in capsys.readouterr().err


def test_a_host_that_does_not_answer_is_named_and_others_go_on(cloud, capsys):
  found = cloud("silent")
  assert found.launch() == 2
  error = capsys.readouterr().err
  assert "first failed (exit 255: the ssh hosts of s do not answer" in error
  assert "3 times" in error and "not run: second (needs first)" in error
  assert {row["words"][2] for row in found.ran()} == {"score"}
  assert len(found.calls("delete")) == 1


def test_a_host_that_answers_later_is_asked_again(cloud):
  found = cloud("silent once")
  assert found.launch() == 0
  assert len(found.ran()) == 5


@pytest.mark.parametrize("code, attempts", [(1, 3), (2, 1)])
def test_a_job_that_fails_is_tried_again_but_a_mistake_is_not(
  cloud, monkeypatch, capsys, code, attempts
):
  monkeypatch.setenv("CODE", str(code))
  found = cloud()
  assert found.launch() == 2
  tried = [row for row in found.ran() if "third" in str(row["words"])]
  assert len(tried) == attempts
  assert f"third failed (exit {code}" in capsys.readouterr().err
  assert len(found.ran()) - len(tried) == 3


def test_a_refused_slice_fails_its_job_and_others_go_on(cloud, capsys):
  found = cloud("refused once")
  assert found.launch() == 2
  error = capsys.readouterr().err
  assert "first failed (gcloud compute tpus queued-resources create s" in error
  assert "RESOURCE_EXHAUSTED: no quota for v4-8" in error
  assert "not run: second (needs first)" in error
  assert [row["words"][2] for row in found.ran()] == ["score", "score"]


def test_a_request_that_fails_is_not_asked_for_without_end(cloud, capsys):
  found = cloud("failed")
  assert found.launch() == 2
  assert "the request for s failed" in capsys.readouterr().err
  assert len(found.calls("create")) == 2  # a job each
  assert not (found.place / "state").exists()


def test_a_slice_is_waited_for_so_long_and_no_longer(
  cloud, capsys, monkeypatch
):
  found, asked = cloud("full"), []
  give_up = slices.Keeper._give_up

  def noted(keeper, state):
    asked.append(len(found.calls("describe")))
    give_up(keeper, state)

  monkeypatch.setattr(slices.Keeper, "_give_up", noted)
  assert found.launch("--wait_hours=0.0001") == 2
  error = capsys.readouterr().err
  assert "no slice v4-8 in z after 0.0001 hours" in error
  assert "it is WAITING_FOR_RESOURCES" in error and "--wait_hours" in error
  # The second job does not wait all over again; the last look is to delete it.
  assert asked == [len(found.calls("describe")) - 1]
  assert len(found.calls("create")) == 1 and len(found.calls("delete")) == 1


def test_a_setup_that_fails_is_named(cloud, capsys):
  found = cloud()
  assert found.launch("--setup=exit 7") == 2
  assert "first failed (--setup failed (exit 7)" in capsys.readouterr().err
  assert not found.ran()


@pytest.mark.parametrize(
  "accelerator, message",
  [
    ("v3-8", "v4 and newer only; for v2 and v3 use launch.xm_launch"),
    ("v5e-8", "gcloud calls a v5e slice v5litepod-SIZE"),
    ("tpu7x-8", "only GKE"),
    ("h100-8", "there is no such type; expected one of v4-SIZE"),
  ],
)
def test_other_accelerators_are_refused_by_name(
  cloud, capsys, accelerator, message
):
  found = cloud()
  assert found.launch(f"--accelerator={accelerator}") == 2
  error = capsys.readouterr().err
  assert f"--accelerator={accelerator}" in error and message in error


def test_without_gcloud_nothing_is_tried(cloud, capsys, monkeypatch):
  found = cloud()
  monkeypatch.setenv("PATH", str(found.place))
  assert found.launch() == 2
  assert "gcloud is not installed" in capsys.readouterr().err


def test_a_stopped_launch_ends_its_job_and_gives_the_slice_back(cloud):
  found = cloud()
  _write(found.place / "bin/python", "#!/bin/sh\ntouch began\nexec sleep 60\n")
  argv = [sys.executable, "-m", "launch.tpu_vm", "config.py", "--slice=s"]
  argv += ["--zone=z", "--python=bin/python", f"--directory={found.place}"]
  process = subprocess.Popen(
    argv, env=os.environ | {"PYTHONPATH": str(conftest.ROOT)}
  )
  while not (found.place / "began").exists():
    assert process.poll() is None
    time.sleep(0.02)
  process.terminate()
  assert process.wait(timeout=60) == 143
  assert len(found.calls("ssh")) == 1 and len(found.calls("delete")) == 1


def _printed(capsys) -> str:
  words = ["--corpus=/nfs/c4/*.jsonl", "--output=/nfs/smoke", "--slice=s"]
  words += ["--accelerator=v5litepod-16", "--zone=us-west4-a", "--spot"]
  words += ["--setup=git clone https://host/repository data-efficient"]
  assert tpu_vm.main(["configs/smoke.py", *words, "--dry_run"]) == 0
  return capsys.readouterr().out


def test_a_dry_run_prints_what_the_golden_file_has(capsys):
  printed = _printed(capsys)
  if os.environ.get("UPDATE_GOLDEN"):
    GOLDEN.write_text(printed)
  assert printed == GOLDEN.read_text()
  lines = printed.splitlines()
  assert len(lines) == 10 + 4
  assert "--runtime-version=v2-alpha-tpuv5-lite --spot" in lines[0]


def test_a_dry_run_calls_nothing(cloud):
  found = cloud()
  assert found.launch("--dry_run") == 0
  assert not (found.place / "calls").exists() and not found.ran()
