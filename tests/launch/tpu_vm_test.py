# SPDX-License-Identifier: Apache-2.0
"""A slice's jobs; a test double stands for the cloud: a `gcloud` of our own."""

import stat
import sys

import pytest

from launch import tpu_vm

# Keeps one slice's state in a file; preempts it at the first ssh if asked to.
_GCLOUD = """#!{python}
import pathlib, sys
place = pathlib.Path({place!r})
verb = sys.argv[4]
with (place / "calls").open("a") as calls:
  calls.write(verb + "\\n")
state = place / "state"
if verb == "describe":
  print(state.read_text()) if state.exists() else sys.exit(1)
elif verb == "create":
  state.write_text("ACTIVE")
elif verb == "delete":
  state.unlink()
elif verb == "ssh":
  command = sys.argv[-1]
  if "first" in command and {first!r} == "silent":
    sys.exit(255)
  if {first!r} == "preempted" and not (place / "once").exists():
    (place / "once").touch()
    state.write_text("SUSPENDED")
    sys.exit(255)
  print(command)
"""


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  def make(first: str):
    binary = tmp_path / "bin" / "gcloud"
    binary.parent.mkdir()
    text = _GCLOUD.format(
      python=sys.executable, place=str(tmp_path), first=first
    )
    binary.write_text(text)
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(
      "from data_efficient.cli.jobs import Job\n"
      "def jobs():\n"
      "  made = (('first', ()), ('second', ('first',)), ('third', ()))\n"
      "  return [Job(name=n, verb='report', gin_files=(),\n"
      "              bindings={'OUTPUT': n}, needs=w) for n, w in made]\n"
    )
    return lambda: (tmp_path / "calls").read_text().split()

  return make


def test_a_preempted_slice_is_made_anew_and_done_jobs_are_skipped(cloud):
  calls = cloud("preempted")
  assert tpu_vm.main(["config.py"]) == 0
  assert calls().count("create") == 2 and calls().count("delete") == 1
  assert calls().count("ssh") == 4
  assert tpu_vm.main(["config.py"]) == 0
  assert calls().count("ssh") == 4


def test_a_host_that_does_not_answer_is_named_and_others_go_on(cloud, capsys):
  calls = cloud("silent")
  assert tpu_vm.main(["config.py"]) == 2
  error = capsys.readouterr().err
  assert "first failed (exit 255: the ssh hosts of data-efficient" in error
  assert "not run: second (needs first)" in error
  assert calls().count("ssh") == 4


def test_older_tpus_are_pointed_to_xmanager(cloud, capsys):
  cloud("")
  assert tpu_vm.main(["config.py", "--accelerator=v3-8"]) == 2
  assert "v4 and newer only" in capsys.readouterr().err


def test_a_dry_run_prints_argv_and_calls_nothing(cloud, capsys, tmp_path):
  cloud("")
  assert tpu_vm.main(["config.py", "--dry_run"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 5 and "--worker=all" in lines[2]
  assert not (tmp_path / "calls").exists()
