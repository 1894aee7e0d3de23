# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from data_efficient import progress
from data_efficient.cli import attempts, cost, jobs


def _job(name, *, verb="--help", needs=(), **bindings):
  return jobs.Job(
    name=name, verb=verb, gin_files=(), bindings=bindings, needs=needs
  )


def test_jobs_run_once_and_leave_their_logs(tmp_path, capsys):
  chain = [_job("first"), _job("second", needs=["first"]), _job("third")]
  jobs.run(chain, directory=str(tmp_path), workers=2)
  assert "0 of 3 steps were done before" in capsys.readouterr().out
  log = (tmp_path / "logs" / "second.log").read_text()
  assert log.startswith("python -m data_efficient --help\n")
  assert "usage:" in log
  jobs.run(chain, directory=str(tmp_path), workers=2)
  assert "3 of 3 steps were done before" in capsys.readouterr().out


def test_a_job_whose_command_changed_runs_again(tmp_path, capsys):
  jobs.run([_job("one")], directory=str(tmp_path), workers=1)
  # argparse prints its help before it looks at the bindings.
  jobs.run([_job("one", SEED=1)], directory=str(tmp_path), workers=1)
  assert "0 of 1 steps" in capsys.readouterr().out.splitlines()[-1]


def test_a_failed_job_names_its_command_log_and_error(tmp_path):
  wrong = _job("wrong", verb="select", KEEP_FRACTOIN=0.2)
  chain = [wrong, _job("after", needs=["wrong"])]
  with pytest.raises(jobs.JobError) as raised:
    jobs.run(chain, directory=str(tmp_path), workers=1)
  message = str(raised.value)
  assert "wrong failed (exit 2)" in message
  assert "--gin.KEEP_FRACTOIN=0.2" in message
  assert "did you mean KEEP_FRACTION?" in message
  assert not (tmp_path / "logs" / "after.log").exists()
  assert not (tmp_path / "done" / "wrong").exists()


def _flaky(tmp_path, monkeypatch, *, failures: int, code: int):
  """Makes of every process one that fails so often, then succeeds."""
  script = (
    "import os, pathlib, signal, sys\n"
    f"counted = pathlib.Path({str(tmp_path)!r}, 'count')\n"
    "counted.open('a').write('x')\n"
    f"if len(counted.read_text()) <= {failures}:\n"
    f"  code = {code}\n"
    "  sys.exit(code) if code >= 0 else os.kill(os.getpid(), -code)\n"
  )
  monkeypatch.setattr(
    jobs.Job, "argv", lambda job, python="python": [python, "-c", script]
  )
  return tmp_path / "count"


@pytest.mark.parametrize("code", [1, 143, -9])
def test_a_preempted_job_is_tried_again(tmp_path, monkeypatch, capsys, code):
  count = _flaky(tmp_path, monkeypatch, failures=2, code=code)
  jobs.run([_job("one")], directory=str(tmp_path), workers=1)
  assert count.read_text() == "xxx"
  assert f"one: exit {code}, again (3 of 3)" in capsys.readouterr().err
  assert (tmp_path / "done" / "one").exists()


@pytest.mark.parametrize("code, attempts", [(1, 3), (2, 1)])
def test_three_failures_or_one_mistake_are_the_end(
  tmp_path, monkeypatch, code, attempts
):
  count = _flaky(tmp_path, monkeypatch, failures=9, code=code)
  with pytest.raises(jobs.JobError, match=f"one failed .exit {code}"):
    jobs.run([_job("one")], directory=str(tmp_path), workers=1)
  assert len(count.read_text()) == attempts


def test_other_jobs_go_on_and_those_that_need_it_are_named(tmp_path):
  chain = [
    _job("wrong", verb="nothing"),
    _job("after", needs=["wrong"]),
    _job("last", needs=["after"]),
    _job("other"),
    _job("also", needs=["other"]),
  ]
  with pytest.raises(jobs.JobError) as raised:
    jobs.run(chain, directory=str(tmp_path), workers=1)
  message = str(raised.value)
  assert message.startswith("1 job failed\nwrong failed (exit 2)")
  assert "not run: after (needs wrong)" in message
  assert "not run: last (needs wrong)" in message
  done = {path.name for path in (tmp_path / "done").iterdir()}
  assert done == {"other", "also"}


def test_of_many_jobs_that_need_one_three_are_named(tmp_path):
  failed, *others = [
    _job("wrong"),
    *(_job(f"job_{n}", needs=["wrong"]) for n in range(90)),
    _job("report", needs=["job_89"]),
  ]
  log = tmp_path / "wrong.log"
  log.write_text("why\n")
  waiting = {other.name: other for other in (*others, _job("free"))}
  failures = jobs.job_files.Failures()
  assert failures.add(failed, waiting, "exit 2", log, 1) == 92
  assert set(waiting) == {"free"}
  with pytest.raises(jobs.JobError) as raised:
    failures.check()
  assert str(raised.value).splitlines()[-5:] == [
    "why",
    *(f"not run: job_{n} (needs wrong)" for n in range(3)),
    "not run: 88 others, the last report (need wrong)",
  ]


def test_cores_are_dealt_out_to_workers(monkeypatch):
  monkeypatch.setattr(
    attempts.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4}
  )
  assert attempts.shares(2) == [(0, 2, 4), (1, 3)]
  assert attempts.shares(9) == [(0,), (1,), (2,), (3,), (4,)]


def test_progress_goes_to_the_file_that_is_named(tmp_path, monkeypatch):
  path = tmp_path / "bar"
  monkeypatch.setenv(progress.FILE_VARIABLE, str(path))
  with progress.bar("work", total=10, done=3) as advance:
    assert progress.read(path) == progress.Progress("work", 3, 10)
    advance(2)
  assert progress.read(path) == progress.Progress("work", 5, 10)
  path.write_text("{")
  assert progress.read(path) is None


def test_a_line_of_progress_has_rate_and_time_left():
  line = progress.line(progress.Progress("score", 250, 1000), 50.0)
  assert line == "score: 250 of 1,000 (25%), 50.0/s, 15 s left"


def test_costs_of_interrupted_runs_add_up(tmp_path):
  with cost.measured(str(tmp_path)):
    pass
  first = cost.seconds(tmp_path)
  with pytest.raises(KeyError), cost.measured(str(tmp_path)):
    raise KeyError
  assert cost.seconds(tmp_path) >= first
  assert cost.seconds(tmp_path / "nowhere") == 0.0


def test_a_job_runs_again_if_what_it_left_or_read_changed(tmp_path, capsys):
  left, read = tmp_path / "left", tmp_path / "read.txt"
  left.write_text("")
  read.write_text("once")
  job = dataclasses.replace(
    _job("one", FILES=str(tmp_path / "*.txt")), leaves=[str(left)]
  )

  def done_before():
    jobs.run([job], directory=str(tmp_path / "out"), workers=1)
    return capsys.readouterr().out.splitlines()[0]

  assert done_before().startswith("0 of 1")
  assert done_before().startswith("1 of 1")
  read.write_text("and changed")
  assert done_before().startswith("0 of 1")
  left.unlink()
  assert done_before().startswith("0 of 1")
