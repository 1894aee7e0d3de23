# SPDX-License-Identifier: Apache-2.0
"""What needs no XManager: commands, refusals, and the worker that it runs."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from data_efficient.cli import jobs
from launch import accelerators, xm_launch
from tests import conftest

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/launch"
SMOKE = ["configs/smoke.py", "--corpus=c4/*.jsonl"]


@pytest.mark.parametrize(
  "name, words",
  [
    ("smoke", []),
    ("xm_vertex", ["--on=vertex", "--accelerator=tpu_v3=8", "--cpus=16"]),
  ],
)
def test_a_dry_run_prints_what_the_golden_file_has(
  name, words, capsys, monkeypatch
):
  # Cannot be imported.
  monkeypatch.setitem(sys.modules, "xmanager", None)
  assert xm_launch.main([*SMOKE, *words, "--dry_run"]) == 0
  printed, golden = capsys.readouterr().out, GOLDEN / f"{name}.txt"
  if os.environ.get("UPDATE_GOLDEN") and name != "smoke":
    golden.write_text(printed)
  assert printed == golden.read_text()


def test_verbs_that_compute_are_those_with_the_accelerator(capsys):
  words = ["--on=vertex", "--accelerator=v100=2", "--dry_run"]
  assert xm_launch.main([*SMOKE, *words]) == 0
  for line in capsys.readouterr().out.splitlines():
    machine, *command = line.split()
    computes = command[3] in ("score", "train")
    assert machine == ("v100=2" if computes else "cpu=8,ram=30GiB")


def test_without_xmanager_it_says_how_to_have_it(capsys, monkeypatch):
  monkeypatch.setattr(xm_launch.importlib.util, "find_spec", lambda name: None)
  assert xm_launch.main(SMOKE) == 2
  error = capsys.readouterr().err
  assert "XManager is not installed: run make xm" in error
  assert "pip install -e '.[xm]' -c constraints.txt" in error


@pytest.mark.parametrize(
  "text, message",
  [
    ("tpu_v4=8", "launch.tpu_vm CONFIG --accelerator=v4-SIZE"),
    ("v5litepod-16", "launch.tpu_vm CONFIG --accelerator=v5litepod-SIZE"),
    ("tpu_v5e=8", "launch.tpu_vm CONFIG --accelerator=v5litepod-SIZE"),
    ("v5p-8", "launch.tpu_vm CONFIG --accelerator=v5p-SIZE"),
    ("TPU_V6E=8", "launch.tpu_vm CONFIG --accelerator=v6e-SIZE"),
    ("h100=8", "a machine without such a GPU"),
    ("v10=4", "there is no v10 (did you mean v100?); there are tpu_v2"),
    ("v100", "expected NAME=COUNT"),
    ("v100=0", "expected NAME=COUNT"),
    ("tpu_v3=four", "expected NAME=COUNT"),
  ],
)
def test_what_vertex_ai_does_not_have_is_refused_by_name(text, message):
  with pytest.raises(accelerators.AcceleratorError) as raised:
    accelerators.parse(text)
  assert f"--accelerator={text}" in str(raised.value)
  assert message in str(raised.value)


def test_what_it_has_is_read():
  assert accelerators.parse("") is None
  found = accelerators.parse("tpu_v3=8")
  assert found.is_tpu and found.count == 8 and str(found) == "tpu_v3=8"
  assert not accelerators.parse("v100=4").is_tpu


def _worker(tmp_path, code: str, cores: str = "") -> subprocess.Popen:
  words = [str(tmp_path / "log"), str(tmp_path / "status"), cores]
  command = [sys.executable, "-c", code, 'it\'s "a"  $HOME']
  return subprocess.Popen(
    [sys.executable, "-m", "launch.xm_worker", *words, *command],
    cwd=conftest.ROOT,
  )


@pytest.mark.parametrize(
  "end, code, seen",
  [
    ("sys.exit(7)", "7", 7),
    ("os.kill(os.getpid(), signal.SIGKILL)", "-9", 137),
  ],
)
def test_a_worker_leaves_log_and_exit_code(tmp_path, end, code, seen):
  core = str(min(os.sched_getaffinity(0)))
  script = "import os, signal, sys\nprint(sys.argv[1], flush=True)\n"
  # Once its cores were set, which is after it began.
  script += f"while os.sched_getaffinity(0) != {{{core}}}: pass\n"
  process = _worker(tmp_path, script + end, core)
  assert process.wait(timeout=60) == seen
  assert (tmp_path / "log").read_text() == 'it\'s "a"  $HOME\n'
  number = str(process.pid)
  assert (tmp_path / "status").read_text().split() == [number, code]


def test_a_worker_passes_sigterm_on(tmp_path):
  script = "import signal, sys, time\n"
  script += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
  script += "print('began', flush=True)\ntime.sleep(60)\n"
  process = _worker(tmp_path, script)
  log = tmp_path / "log"
  while not (log.exists() and "began" in log.read_text()):
    assert process.poll() is None
    time.sleep(0.01)
  process.send_signal(signal.SIGTERM)
  assert process.wait(timeout=60) == 143
  assert (tmp_path / "status").read_text().split()[1] == "143"


def test_jobs_elsewhere_leave_nothing_here():
  job = jobs.Job(
    name="a", verb="train", gin_files=(), bindings={}, leaves=("out/run.json",)
  )
  assert jobs.job_files.elsewhere([job])[0].leaves == ()
