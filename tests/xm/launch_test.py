# SPDX-License-Identifier: Apache-2.0
"""XManager's local scheduler runs the smoke config, and what it must escape."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from absl import flags

from launch import xm_launch
from tests import conftest, smoke_runs

pytest.importorskip("xmanager", reason="run `make xm`")

_CONFIG = """
from data_efficient.cli.jobs import Job

class Told(Job):
  def argv(self, python="python"):
    script = {script!r}
    return [python, script, self.name, *self.words()]

def jobs():
  made = (("first", ()), ("second", ("first",)), ("third", ()),
          ("mistaken", ()), ("wrong", ()), ("after", ("wrong",)))
  return [Told(name=name, verb="score", gin_files=(), needs=needs,
               bindings={{"OUTPUT": "out", "NOTE": {note!r}}})
          for name, needs in made]
"""
_NOTE = 'it\'s "two"  blanks, $HOME, `id`, *, \\ and\na line'
# Says what it was told; fails at the first try, always, or by a mistake.
_SCRIPT = """
import json, os, pathlib, signal, sys, time
name, place = sys.argv[1], pathlib.Path(__file__).parent
with (place / "told").open("a") as told:
  began = time.time()
  time.sleep(0.05)
  cores = sorted(os.sched_getaffinity(0))
  cache = os.environ.get("JAX_COMPILATION_CACHE_DIR")
  row = [name, sys.argv[2:], began, time.time(), cores, cache]
  told.write(json.dumps(row) + "\\n")
print("ran", name, flush=True)
if name == "third" and not (place / "once").exists():
  (place / "once").touch()
  os.kill(os.getpid(), signal.SIGKILL)
sys.exit({"mistaken": 2, "wrong": 5}.get(name, 0))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
  """Two launches of jobs that say what they were told: output, and rows."""
  place = tmp_path_factory.mktemp("told")
  script = place / "script.py"
  script.write_text(_SCRIPT)
  config = place / "config.py"
  config.write_text(_CONFIG.format(script=str(script), note=_NOTE))
  runs = []
  for _ in range(2):
    runs.append(
      subprocess.run(
        [sys.executable, "-m", "launch.xm_launch", config, "--workers=2"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(conftest.ROOT), "HOME": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
      )
    )
    if len(runs) == 1:
      rows = [json.loads(row) for row in (place / "told").open()]
  again = [json.loads(row) for row in (place / "told").open()][len(rows) :]
  return runs, rows, again, place


def test_arguments_arrive_as_they_were(told):
  words = {tuple(row[1]) for row in told[1]}
  assert words == {("score", "--gin.OUTPUT='out'", f"--gin.NOTE={_NOTE!r}")}


def test_the_scheduler_s_variables_arrive(told):
  place = told[3]
  assert {row[5] for row in told[1]} == {str(place / "out/cache")}


def test_a_job_waits_for_what_it_needs_and_cores_are_dealt_out(told):
  rows = {row[0]: row for row in told[1]}
  assert rows["second"][2] >= rows["first"][3]
  cores = sorted(os.sched_getaffinity(0))
  if len(cores) > 1:
    assert all(len(row[4]) < len(cores) for row in told[1])


def test_crashes_are_tried_again_mistakes_are_not_and_others_go_on(told):
  (first, _), rows, _, place = told
  tried = [row[0] for row in rows]
  assert tried.count("third") == 2 and tried.count("wrong") == 3
  assert tried.count("mistaken") == 1 and "after" not in tried
  assert first.returncode == 2
  assert "2 jobs failed" in first.stdout
  assert "wrong failed (exit 5, 3 times)" in first.stdout
  assert "mistaken failed (exit 2)" in first.stdout
  assert "third: exit -9, again (2 of 3)" in first.stdout
  assert "not run: after (needs wrong)" in first.stdout
  assert "Traceback" not in first.stdout
  log = (place / "out/logs/wrong.log").read_text()
  assert log.count("ran wrong") == 3


def test_what_is_done_is_skipped(told):
  (_, second), _, again, _ = told
  assert "3 of 6 steps were done before" in second.stdout
  assert {row[0] for row in again} == {"mistaken", "wrong"}


def test_the_smoke_config_runs_to_its_end(tmp_path):
  smoke = smoke_runs.Smoke("xm_launch", tmp_path)
  output = smoke.run()
  assert set(smoke_runs.seconds(output)) == set(smoke_runs.NAMES)
  smoke.check()
  # XManager's own records of it.
  assert (tmp_path / ".xmanager/experiments.sqlite3").exists()
  assert "10 of 10 steps were done before" in smoke.run()


def test_a_stopped_launch_ends_its_jobs(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(
    "import pathlib, signal, sys, time\n"
    "place = pathlib.Path(__file__).parent\n"
    "def stop(*_):\n  (place / 'ended').touch()\n  sys.exit(143)\n"
    "signal.signal(signal.SIGTERM, stop)\n(place / 'began').touch()\n"
    "time.sleep(60)\n"
  )
  config = tmp_path / "config.py"
  config.write_text(_CONFIG.format(script=str(script), note=""))
  process = subprocess.Popen(
    [sys.executable, "-m", "launch.xm_launch", config],
    cwd=tmp_path,
    env=os.environ | {"PYTHONPATH": str(conftest.ROOT), "HOME": str(tmp_path)},
  )
  while not (tmp_path / "began").exists():
    assert process.poll() is None
  process.terminate()
  assert process.wait(timeout=60) == 143
  assert (tmp_path / "ended").exists()


def test_xmanager_s_own_flags_are_passed_on(tmp_path, monkeypatch, capsys):
  config = tmp_path / "config.py"
  config.write_text("def jobs():\n  return []\n")
  monkeypatch.setenv("HOME", str(tmp_path))
  assert xm_launch.main([str(config), "--xm_upgrade_db"]) == 2
  assert "the config has no jobs" in capsys.readouterr().err
  assert pathlib.Path(tmp_path, ".xmanager").is_dir()
  assert flags.FLAGS.xm_upgrade_db
